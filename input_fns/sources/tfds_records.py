"""The records of a prepared data set: a first look without a TensorFlow session, and what of them is decoded."""

import io
import itertools
import struct
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence

import numpy as np

from input_fns.sources.preparation import preparation_of

EXAMPLES = 200  # looked at


def preparation(folder: Path, image_key: str) -> Optional[str]:
    """Returns how the images of the training split were prepared, or None if they cannot be looked at.

    Runs no session; see tfds_decoder.py.

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


def decoders(info: Any, keys: Sequence[str]) -> Dict[str, Any]:
    """Returns `tfds.decode` decoders that leave pictures undecoded where only some features are wanted.

    Args:
        info: A `tfds.core.DatasetInfo`.
        keys: The wanted features.
    """
    import tensorflow_datasets as tfds

    # tfds.decode.PartialDecoding would do it for all features, but prints a warning of its own deprecated code.
    pictures = [name for name, feature in info.features.items() if isinstance(feature, tfds.features.Image)]
    return {name: tfds.decode.SkipDecoding() for name in pictures if name not in keys}


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
