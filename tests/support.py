"""What several test files share: runs of the command line, waiting, and comparisons of what runs leave.

TensorFlow is imported only where it is needed: its import takes seconds and adds variables to the environment.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

import input_fns
from benchmarks import faults
from estimator_mnist.system.interpreter import module_command

ROOT = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
# The flags of the fixture `run`.
RUN = ["--source", "sample", "--model", "dense", "--train_steps", "400", "--evals", "4", "--dropout_rate", "0.3"]
# Seconds until a test gives up on a process. Far more than any needs, so that a busy machine fails no test.
PATIENCE = 300

# A part of a user's file: two optimizers, one of them with a slot.
USER_OPTIMIZERS = """
class Sgd:
    def update(self, weight, gradient, slots, learning_rate, step):
        return weight - learning_rate * gradient

class Momentum:
    slots = ("velocity",)

    def update(self, weight, gradient, slots, learning_rate, step):
        velocity = 0.9 * slots["velocity"] + gradient
        return weight - learning_rate * velocity, {"velocity": velocity}
"""

Batches = List[Tuple[np.ndarray, np.ndarray]]


# Processes.


def command_line(folder: Path, *words: object, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command line in a folder to its end, with further environment variables."""
    return subprocess.run(
        module_command("estimator_mnist", *words),
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )


def launch(folder: Path, *words: object, prepare: Optional[Callable[[], None]] = None) -> "subprocess.Popen[str]":
    """Starts the command line in a folder; `prepare` is called in the child before it begins."""
    return subprocess.Popen(
        module_command("estimator_mnist", *words),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


def start(model_dir: Path, *flags: str, prepare: Optional[Callable[[], None]] = None) -> "subprocess.Popen[str]":
    """Starts a training run in `model_dir`."""
    return launch(model_dir.parent, *flags, "--model_dir", str(model_dir), prepare=prepare)


def end(process: "subprocess.Popen[str]") -> Tuple[int, str, str]:
    """Waits for a process and returns (exit code, stdout, stderr)."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE, every: float = 0.02) -> None:
    """Waits until a condition holds.

    Raises:
        AssertionError: It does not hold after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"nothing happened within {seconds} s"
        time.sleep(every)


def is_running(pid: int) -> bool:
    """Tells whether a process runs, as Linux shows it. A zombie has ended; only its parent has not asked after it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(process: "subprocess.Popen[str]", model_dir: Path, pattern: str) -> None:
    """Waits until a running process has written a file that matches a pattern.

    Raises:
        AssertionError: The process ended first.
    """

    def written() -> bool:
        assert process.poll() is None, process.communicate()
        return any(model_dir.glob(pattern))

    wait_until(written, every=0.005)


def killed_at(model_dir: Path, pattern: str, *flags: str) -> None:
    """Starts a run, and kills it as soon as its model_dir holds a file that matches a pattern."""
    process = start(model_dir, *flags)
    wait_for(process, model_dir, pattern)
    process.kill()
    process.communicate()


# What a run leaves.


def checkpoint(model_dir: Path) -> Dict[str, np.ndarray]:
    """Returns every variable of the newest checkpoint by its name."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(model_dir))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal_to_the_bit(first: Dict[str, np.ndarray], second: Dict[str, np.ndarray]) -> None:
    assert set(first) == set(second)
    for name, value in first.items():
        assert value.tobytes() == second[name].tobytes(), name


def resumes_to_the_same_end(model_dir: Path, unbroken: Path, flags: List[str] = RUN) -> str:
    """Runs the same command again, compares its end with the unbroken run's, and returns its stdout."""
    code, out, err = end(start(model_dir, *flags))
    assert code == 0, err
    assert_equal_to_the_bit(checkpoint(unbroken), checkpoint(model_dir))
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (unbroken, model_dir))
    for key in faults.COMPARED:
        assert first[key] == second[key], key
    return out


# Batches.


def fetch(make_dataset: Callable[[], Any]) -> Batches:
    """Runs a dataset as Estimator does, in a graph, and returns its (images, labels)."""
    import tensorflow as tf

    batches = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        iterator = tf.compat.v1.data.make_initializable_iterator(make_dataset())
        features, labels = iterator.get_next()
        session.run(iterator.initializer)
        try:
            while True:
                image, label = session.run((features["image"], labels))
                batches.append((image, label))
        except tf.errors.OutOfRangeError:
            return batches


def train(split: input_fns.Split, **arguments: Any) -> Batches:
    """Returns the batches of `input_fns.train_input_fn`."""
    return fetch(lambda: input_fns.train_input_fn(split, **arguments))


def joined(batches: Batches) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the images and the labels of all batches in their order."""
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])
