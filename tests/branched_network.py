"""A small network that has every layer class: branches within branches, a shortcut with layers, and dropout and batch
normalisation in a branch and behind one. It takes the place of the network of --model conv within a test's process.
"""

import dataclasses
from typing import Any, List

import pytest

from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.config.experiment import Experiment


def layers(experiment: Any) -> List[Any]:
    from estimator_mnist import layers as of

    block = [
        of.DepthwiseConv2D("depthwise", 3, of.gelu),
        of.Conv2D("pointwise", 12, 1, bias=False),
        of.BatchNorm("batch_norm"),
        of.LayerNorm("layer_norm"),
        of.Dropout("dropout", experiment.dropout_rate),
    ]
    inner = [of.Activation("sigmoid", of.sigmoid), of.DepthwiseConv2D("depthwise", 3, bias=False)]
    tower = [of.Conv2D("conv3", 6, 3, of.tanh, padding="SAME"), of.Residual("inner", inner)]
    padded = [of.Pad2D("pad", 1), of.Conv2D("conv3_padded", 4, 3, of.scaled_tanh)]
    pooled = [of.Pool2D("average", "average"), of.Flatten("flatten_pooled")]
    return [
        of.Conv2D("conv1", 8, 3, of.relu, strides=2, padding="SAME"),  # 14x14x8
        of.Residual("block", block, shortcut=[of.Conv2D("projection", 12, 1)], activation=of.relu),  # 14x14x12
        of.Pool2D("pool"),  # 7x7x12
        of.Parallel("mixed", [[], tower, padded]),  # 7x7x22
        of.DepthwiseConv2D("strided", 3, strides=2, padding="VALID"),  # 3x3x22
        of.Parallel("ends", [[of.GlobalAveragePool("mean")], pooled, [of.Flatten("flatten")]]),  # 242
        of.BatchNorm("norm_of_vectors", of.relu),
        of.LayerNorm("layer_norm"),
        of.Dropout("dropout", experiment.dropout_rate),
        of.Dense("dense", 32, of.scaled_tanh),
        of.Activation("gelu", of.gelu),
        of.Dense("logits", experiment.classes),
    ]


PATHS = set(
    """
    conv1 pool strided norm_of_vectors layer_norm dense gelu logits
    block block/depthwise block/pointwise block/batch_norm block/layer_norm block/projection
    mixed mixed/conv3 mixed/inner mixed/inner/sigmoid mixed/inner/depthwise mixed/pad mixed/conv3_padded
    ends ends/mean ends/average ends/flatten_pooled ends/flatten
    """.split()
)


def experiment(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Experiment:
    """Returns an experiment whose network is this one, until the test ends."""
    record = dataclasses.replace(ARCHITECTURES["conv"], layers=layers)
    monkeypatch.setitem(ARCHITECTURES, "conv", record)
    return Experiment(**{"model": "conv", "dropout_rate": 0.1, **fields})
