"""Writes and runs .keras files, as a program in the environment of Keras 3, which has no Estimator.

    keras3 write LAYERS.json WEIGHTS.npz MODEL.keras
    keras3 run MODEL.keras IMAGES.npy BATCH_SIZE OUTPUT.npz

It imports nothing of this project but the clock that times all formats.
"""

import json
import sys
from typing import Any, Callable, Dict, List

import keras
import numpy as np

from estimator_mnist.export.throughput import timed


def write(layers: str, weights: str, path: str) -> None:
    """Builds a model of Keras's own layers, gives it the weights and writes it.

    Args:
        layers: A JSON file with the tree of `keras_layers.tree`.
        weights: An .npz file with an array for each "layer's path/weight".
        path: Of the .keras file.
    """
    with open(layers, encoding="utf-8") as file:
        tree = json.load(file)
    image = keras.Input(tree["image_shape"], name="image")
    model = keras.Model(image, build(tree["layers"], image, np.load(weights)))
    model.save(path)


def build(nodes: List[Dict[str, Any]], x: Any, weights: Any) -> Any:
    """Returns the symbolic output of a chain of nodes for an input x, with the weights set."""
    for node in nodes:
        layer = getattr(keras.layers, node["layer"])(**node["arguments"])
        x = layer([build(branch, x, weights) for branch in node["branches"]] if "branches" in node else x)
        if layer.weights:
            layer.set_weights([weights[f"{node['weights']}/{weight.name}"] for weight in layer.weights])
    return x


def run(path: str, images: str, batch_size: str, output: str) -> None:
    """Loads a model as any program with Keras 3 does; writes its logits of images and its throughput to a file."""
    model = keras.models.load_model(path, compile=False)
    (logits,), images_per_second = timed(
        lambda batch: [np.asarray(model.predict_on_batch(batch))], np.load(images, mmap_mode="r"), int(batch_size)
    )
    np.savez(output, logits=logits, images_per_second=images_per_second)


def main(words: List[str]) -> None:
    programs: Dict[str, Callable[..., None]] = {"write": write, "run": run}
    programs[words[0]](*words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
