"""Where the images come from: TFDS, IDX files, the sample."""
