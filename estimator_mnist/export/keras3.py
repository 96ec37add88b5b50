"""What is done in the environment of Keras 3, as a program of its own: it has no Estimator, and no TensorFlow 2.15.

    python -m estimator_mnist.export.keras3 write LAYERS.json WEIGHTS.npz MODEL.keras
    python -m estimator_mnist.export.keras3 run MODEL.keras IMAGES.npy BATCH_SIZE OUTPUT.npz

Imports nothing of this project but the clock that all formats are timed with.
"""

import json
import sys
from typing import Callable, Dict, List

import keras
import numpy as np

from estimator_mnist.export.throughput import timed


def write(layers: str, weights: str, path: str) -> None:
    """Puts a model together from Keras's own layers, gives it the weights and writes it."""
    with open(layers, encoding="utf-8") as file:
        description = json.load(file)
    model = keras.Sequential([keras.Input((28, 28, 1), name="image")])
    for name, settings in description:
        model.add(getattr(keras.layers, name)(**settings))
    values = np.load(weights)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([values[f"{layer.name}/{weight.name}"] for weight in layer.weights])
    model.save(path)


def run(path: str, images: str, batch_size: str, output: str) -> None:
    """Loads a model as any program with Keras 3 does, and writes what it says of images, and how fast."""
    model = keras.models.load_model(path, compile=False)
    (logits,), images_per_second = timed(
        lambda batch: [np.asarray(model.predict_on_batch(batch))], np.load(images), int(batch_size)
    )
    np.savez(output, logits=logits, images_per_second=images_per_second)


def main(words: List[str]) -> None:
    programs: Dict[str, Callable[..., None]] = {"write": write, "run": run}
    programs[words[0]](*words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
