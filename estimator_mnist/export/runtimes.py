"""Runs an exported model in the runtime of its format. None of them has Estimator."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, List, NamedTuple

import numpy as np
import tensorflow as tf

from estimator_mnist.export import isolated_venv
from estimator_mnist.export.throughput import as_float, timed
from estimator_mnist.system import terminal
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.interpreter import ROOT, module_command

KERAS_LOCK = Path(__file__).with_name("requirements-keras.lock")
KERAS_VENV = isolated_venv.place("keras", in_checkout=ROOT)


class Outcome(NamedTuple):
    """A model's output for images, and its throughput."""

    classes: np.ndarray  # int64 [n]
    logits: np.ndarray  # float32 [n, classes]
    images_per_second: float


def saved_model(path: Path, images: np.ndarray, batch_size: int) -> Outcome:
    """Runs a version of a SavedModel, its signature "predict"; `images` as in `throughput.timed`."""
    signature = tf.saved_model.load(str(path)).signatures["predict"]

    def call(batch: np.ndarray) -> List[np.ndarray]:
        outputs = signature(image=tf.constant(batch))
        return [outputs["classes"].numpy(), outputs["logits"].numpy()]

    return _outcome(timed(call, images, batch_size))


def tflite(path: Path, images: np.ndarray, batch_size: int) -> Outcome:
    """As `saved_model`, with a .tflite file and its signature "predict"."""
    with terminal.silent():  # its C++ code reports each delegate
        interpreter = tf.lite.Interpreter(str(path), num_threads=os.cpu_count())
        signature = interpreter.get_signature_runner("predict")
        signature(image=as_float(images[:1]))

    def call(batch: np.ndarray) -> List[np.ndarray]:
        outputs = signature(image=batch)
        return [outputs["classes"], outputs["logits"]]

    return _outcome(timed(call, images, batch_size))


def onnx(path: Path, images: np.ndarray, batch_size: int) -> Outcome:
    """As `saved_model`, with an .onnx file in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return _outcome(timed(lambda batch: session.run(["classes", "logits"], {"image": batch}), images, batch_size))


def keras(path: Path, images: np.ndarray, batch_size: int) -> Outcome:
    """As `saved_model`, with a .keras file in Keras 3, in a process of its environment."""
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch, "images.npy"), images)
        in_keras_3("run", path, Path(scratch, "images.npy"), batch_size, Path(scratch, "output.npz"))
        output = np.load(Path(scratch, "output.npz"))
        logits = output["logits"]
        return Outcome(logits.argmax(axis=1), logits, float(output["images_per_second"]))


def in_keras_3(*words: Any) -> None:
    """Runs `keras3` in its environment, which is made on first use.

    Args:
        *words: The arguments of the program.

    Raises:
        RunError: The environment cannot be made, or the program failed.
    """
    python = isolated_venv.python_of(KERAS_LOCK, KERAS_VENV, _say)
    env = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        module_command("estimator_mnist.export.keras3", *words, python=python), env=env, capture_output=True, text=True
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(f"Keras 3 failed to {words[0]} {words[-1] if words[0] == 'write' else words[1]} ({reason})")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # standard output holds nothing but the result, which may be JSON


def _outcome(measured: Any) -> Outcome:
    (classes, logits), images_per_second = measured
    return Outcome(classes, logits, images_per_second)
