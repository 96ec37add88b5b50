"""A look at the first records of a prepared data set, without a TensorFlow session (see tfds_decoder.py)."""

import io
import itertools
import struct
from pathlib import Path
from typing import Iterator, Optional

import numpy as np

from input_fns.sources.preparation import preparation_of

EXAMPLES = 200  # looked at


def preparation(folder: Path, image_key: str) -> Optional[str]:
    """Returns how the images of the training split were prepared, or None if they cannot be looked at.

    Args:
        folder: Of the prepared version.
        image_key: Name of the feature that holds the image.
    """
    import tensorflow as tf
    from PIL import Image

    images = []
    try:
        for record in itertools.islice(_records(folder), EXAMPLES):
            [encoded] = tf.train.Example.FromString(record).features.feature[image_key].bytes_list.value
            with Image.open(io.BytesIO(encoded)) as image:
                images.append(np.asarray(image))
        stacked = np.stack(images)
    except (OSError, ValueError, struct.error):  # damage is reported where it is read for training
        return None
    return preparation_of(stacked if stacked.ndim == 4 else stacked[..., np.newaxis])


def _records(folder: Path) -> Iterator[bytes]:
    """Yields the training records. Format: https://www.tensorflow.org/tutorials/load_data/tfrecord."""
    for path in sorted(folder.glob("*-train.tfrecord-*")):
        with open(path, "rb") as file:
            while header := file.read(12):  # length, and its checksum
                (length,) = struct.unpack("<Q", header[:8])
                if length > path.stat().st_size:
                    raise ValueError(f"{path}: is damaged")
                yield file.read(length)
                file.read(4)  # checksum of the record
