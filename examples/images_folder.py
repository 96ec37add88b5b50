"""Writes 5,000 digits as PNG files, in the form in which a folder of your own images can be trained on.

    .venv/bin/python -m examples.images_folder digits
    bash run.sh --source folder --image_dir digits

makes digits/train/CLASS/*.png and digits/test/CLASS/*.png.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import input_fns


def write(folder: Path) -> None:
    data = input_fns.find(input_fns.Request(source="sample"))
    for split in (data.train, data.test):
        images, labels = np.load(split.images), np.load(split.labels)
        for number, (image, label) in enumerate(zip(images, labels)):
            of_class = folder / split.name / data.class_names[label]
            of_class.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(of_class / f"{number:04}.png")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
