"""What the sources offer today. Every other module takes the image shape from its split."""

IMAGE_SHAPE = (28, 28, 1)  # height, width, channels
