"""Decodes a prepared data set in another process, so that the process that needs it runs no TensorFlow session.

The first session of a process creates the thread pool of all its sessions. A run sets its threads before that, and
other threads add up in another order: the run that decoded the data would end with other bits than those after it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from input_fns.errors import InputError, reason

PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from input_fns.sources import tfds_decoder as d; d.main(sys.argv)"
)
WRONG_INPUT = 2  # exit code of the process whose output is the text of an InputError
Splits = Dict[str, Dict[str, np.ndarray]]  # {"train": {"images": uint8 [n, height, width], "labels": uint8 [n]}, ...}


def decode(name: str, data_dir: Path, folder: Path, examples: Dict[str, int]) -> Splits:
    """Returns the decoded splits of a prepared data set.

    Args:
        name: Its TFDS name, with the version.
        data_dir: Where TFDS keeps it.
        folder: That of its version, for messages.
        examples: How many each split must hold.

    Raises:
        InputError: A record is corrupt or missing, or the process failed.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            output = Path(scratch, "splits.npz")
            _run([name, str(data_dir), str(folder), examples, str(output)], folder)
            with np.load(output) as arrays:
                return {split: {kind: arrays[f"{split} {kind}"] for kind in ("images", "labels")} for split in examples}
    except OSError as error:
        raise InputError(
            f"{folder}: the data set could not be decoded ({reason(error)}); name another temporary folder with TMPDIR"
        ) from error


def _run(request: List[Any], folder: Path) -> None:
    """Runs the process; see `main` for its request.

    Raises:
        InputError: As `decode`.
        OSError: It could not be started.
    """
    command = [sys.executable, "-I", "-c", PROGRAM, str(Path(__file__).resolve().parents[2]), json.dumps(request)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode == WRONG_INPUT:
        raise InputError(done.stdout.strip().splitlines()[-1])
    if done.returncode:
        lines = done.stderr.strip().splitlines() if done.returncode > 0 else []
        why = lines[-1] if lines else f"its process ended with {done.returncode}"
        raise InputError(f"{folder}: the data set could not be decoded ({why})")


def main(words: List[str]) -> None:
    """The program of the process: writes the splits that the request names, or says what is wrong and exits with 2."""
    name, data_dir, folder, examples, output = json.loads(words[-1])
    try:
        arrays: Dict[str, Any] = {}
        for split, count in examples.items():
            for kind, array in _decode(name, data_dir, folder, split, count).items():
                arrays[f"{split} {kind}"] = array
    except InputError as error:
        print(error)
        sys.exit(WRONG_INPUT)
    np.savez(output, **arrays)


def _decode(name: str, data_dir: str, folder: str, split: str, count: int) -> Dict[str, np.ndarray]:
    import tensorflow as tf
    import tensorflow_datasets as tfds

    images, labels = [], []
    # In a session without GPUs, and not eagerly: the run that waits for the data needs the GPU's memory.
    with tf.Graph().as_default():
        try:
            dataset = tfds.load(name, split=split, data_dir=data_dir, download=False, shuffle_files=False)
            batch = tf.compat.v1.data.make_one_shot_iterator(dataset.batch(1000)).get_next()
            with tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"GPU": 0})) as session:
                while True:
                    values = session.run(batch)
                    images.append(values["image"][..., 0])  # IDX images have no axis of channels
                    labels.append(values["label"].astype(np.uint8))
        except tf.errors.OutOfRangeError:
            pass
        except (tf.errors.OpError, AssertionError, OSError) as error:
            remedy = "delete the folder and prepare the data set again"
            raise InputError(f"{folder}: the {split} split cannot be read ({reason(error)}); {remedy}") from error
    decoded_count = sum(map(len, images))
    if decoded_count != count:
        raise InputError(
            f"{folder}: the {split} split holds {decoded_count} examples where dataset_info.json promises {count}"
        )
    return {"images": np.concatenate(images), "labels": np.concatenate(labels)}
