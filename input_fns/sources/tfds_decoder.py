"""Decodes a prepared data set in another process, so that the process that needs it runs no TensorFlow session.

The first session of a process creates the thread pool of all its sessions. A run sets its threads before that, and
other threads add up in another order: the run that decoded the data would end with other bits than those after it.

The process writes the images straight into the arrays of the new cache folder, so memory holds one batch of them.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import numpy as np

from input_fns.errors import InputError, reason
from input_fns.sources import isolated_process, resizing, stratified, tfds_records
from input_fns.sources.array_cache import Writer

WRONG_INPUT, NOT_WRITTEN = 2, 3  # exit codes: the output is the text of an InputError, or the number of an OSError
BATCH = 1000  # examples
Part = Tuple[np.ndarray, np.ndarray]  # images, uint8 [n, height, width, channels], and labels, int32 [n]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is decoded, and how. A JSON object."""

    name: str  # TFDS's name, with the version
    data_dir: str  # where TFDS keeps it
    folder: str  # that of its version, for messages
    keys: Tuple[str, str]  # of the features with the image and the label
    examples: Dict[str, int]  # how many each split must hold; without "test", one is cut from "train"
    classes: int
    size: Tuple[int, int]  # height and width of the decoded images
    channels: int
    alike: bool  # whether all images have that size already
    test_fraction: float


def decode(job: Job, writer: Writer) -> None:
    """Fills both splits of a writer with a prepared data set.

    Raises:
        InputError: A record is corrupt or missing, or the process failed.
        OSError: The writer's folder has no room.
    """
    request = json.dumps([dataclasses.asdict(job), str(writer.folder)])
    command = isolated_process.command(__name__, request)
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"{job.folder}: the data set could not be decoded ({reason(error)})") from error
    if done.returncode == WRONG_INPUT:
        raise InputError(done.stdout.strip().splitlines()[-1])
    if done.returncode == NOT_WRITTEN:
        number = int(done.stdout.strip().splitlines()[-1])
        raise OSError(number, os.strerror(number))
    if done.returncode:
        lines = done.stderr.strip().splitlines() if done.returncode > 0 else []
        why = lines[-1] if lines else f"its process ended with {done.returncode}"
        raise InputError(f"{job.folder}: the data set could not be decoded ({why})")
    writer.filled()


def main(request: str) -> None:
    """The program of the process: fills the arrays, or prints what is wrong and exits with 2 or 3."""
    fields, folder = json.loads(request)
    try:
        _fill(Job(**fields), Writer(Path(folder)))
    except InputError as error:
        print(error)
        sys.exit(WRONG_INPUT)
    except OSError as error:
        if error.errno is None:
            raise
        print(error.errno)
        sys.exit(NOT_WRITTEN)


def _fill(job: Job, writer: Writer) -> None:
    shape = (*job.size, job.channels)
    if "test" in job.examples:
        for split, count in job.examples.items():
            _copy(job, split, [(np.arange(count), writer.split(split, count, shape))])
        return
    labels = np.concatenate([labels for _, labels in _parts(job, "train", labels_only=True)])
    train, test = stratified.train_and_test(labels, job.test_fraction)
    targets = [
        (chosen, writer.split(split, len(chosen), shape)) for split, chosen in (("train", train), ("test", test))
    ]
    _copy(job, "train", targets)


def _copy(job: Job, split: str, targets: List[Tuple[np.ndarray, Part]]) -> None:
    """Copies examples of a split into arrays.

    Args:
        job: The job.
        split: Its name in the prepared data set.
        targets: Which examples, int64 [n] in increasing order, and their arrays.
    """
    count = 0
    for images, labels in _parts(job, split):
        for chosen, (image_target, label_target) in targets:
            first, end = np.searchsorted(chosen, (count, count + len(labels)))
            rows = chosen[first:end] - count
            resizing.fill(image_target[first:end], images[rows])
            label_target[first:end] = labels[rows]
        count += len(labels)


def _parts(job: Job, split: str, labels_only: bool = False) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Yields the images, uint8 [n, height, width, channels], and labels, int [n], of all examples of a split, in order.

    Raises:
        InputError: A record is damaged or missing, or has a label without a class.
    """
    count = 0
    for values in _values(job, split, job.keys[1:] if labels_only else job.keys):
        *images, labels = values
        if not 0 <= labels.min() <= labels.max() < job.classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise InputError(
                f"{job.folder}: the {split} split holds the label {wrong}; there are {job.classes} classes from 0 on"
            )
        yield images[0] if images else labels, labels
        count += len(labels)
    if count != job.examples[split]:
        raise InputError(
            f"{job.folder}: the {split} split holds {count} examples where dataset_info.json promises "
            f"{job.examples[split]}"
        )


def _values(job: Job, split: str, keys: Sequence[str]) -> Iterator[Tuple[np.ndarray, ...]]:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    # In a session without GPUs, and not eagerly: the run that waits for the data needs the GPU's memory.
    with tf.Graph().as_default():
        try:
            builder = tfds.builder(job.name, data_dir=job.data_dir)
            dataset = builder.as_dataset(
                split=split, shuffle_files=False, decoders=tfds_records.decoders(builder.info, keys)
            )
            wanted = dataset.map(lambda features: tuple(features[key] for key in keys))  # others may not fit in a batch
            batches = wanted.batch(BATCH if job.alike or len(keys) == 1 else 1)
            batch = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
            with tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"GPU": 0})) as session:
                while True:
                    yield session.run(batch)
        except tf.errors.OutOfRangeError:
            return
        except NotImplementedError as error:  # TFDS: ArrayRecord files
            raise InputError(f"{job.folder}: is in a format that cannot be read here; store it as TFRecords") from error
        except (tf.errors.OpError, AssertionError, OSError) as error:
            remedy = "delete the folder and prepare the data set again"
            raise InputError(f"{job.folder}: the {split} split cannot be read ({reason(error)}); {remedy}") from error
