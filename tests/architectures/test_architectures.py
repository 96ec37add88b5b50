"""The records of the built-in networks, and that a new network is one new file."""

import dataclasses
import sys

import pytest

from estimator_mnist import architectures
from estimator_mnist.architectures import ARCHITECTURES, RECIPES, create_network
from estimator_mnist.config.experiment import Experiment

TINY = """
from estimator_mnist.architectures.architecture import Architecture
from estimator_mnist.architectures.recipes import NOTEBOOK

def layers(experiment):
    from estimator_mnist.layers import Dense, Flatten

    return [Flatten("flatten"), Dense("logits", experiment.classes)]

ARCHITECTURE = Architecture(name="tiny", layers=layers, recipes={"default": NOTEBOOK})
"""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_recipe_of_a_record_describes_a_valid_experiment(name):
    record = ARCHITECTURES[name]
    assert record.name == name and {"default", "notebook", "fast", "best"} <= set(record.recipes) <= set(RECIPES)
    for recipe in record.recipes:
        for dataset in ("mnist", "fashion_mnist:3.0.1"):
            fields = record.recipe(recipe, dataset)
            experiment = Experiment(model=name, dataset=dataset, recipe=recipe, **fields)
            assert set(fields) <= {field.name for field in dataclasses.fields(Experiment)}
            assert experiment.total_steps > 0


def test_a_recipe_for_one_data_set_counts_there_only():
    conv = ARCHITECTURES["conv"]
    assert conv.recipe("best", "fashion_mnist")["batch_norm"] and "batch_norm" not in conv.recipe("best", "mnist")
    assert conv.recipe("default", "fashion_mnist") == conv.recipe("default", "mnist")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_partitions_change_the_partitioned_layers_only(name):
    experiment, record = Experiment(model=name), ARCHITECTURES[name]
    unpartitioned, partitioned = create_network(experiment), create_network(experiment, record.partitions)
    pairs = zip(partitioned.layers, unpartitioned.layers)
    changed = [layer.name for layer, other in pairs if (layer.name, layer) != (other.name, other)]
    assert changed == list(record.partitioned_layers)
    assert unpartitioned.weight_shapes() == partitioned.weight_shapes()


def test_a_new_network_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "tiny.py").write_text(TINY)
    monkeypatch.setattr(architectures, "__path__", [*architectures.__path__, str(tmp_path)])
    records = architectures._discover()
    monkeypatch.delitem(sys.modules, "estimator_mnist.architectures.tiny")
    assert set(records) == {*ARCHITECTURES, "tiny"}
    monkeypatch.setitem(ARCHITECTURES, "tiny", records["tiny"])
    tiny = dataclasses.replace(Experiment(), model="conv")
    object.__setattr__(tiny, "model", "tiny")  # --model's choices were fixed when Experiment was imported
    assert create_network(tiny).parameters == 784 * 10 + 10 and tiny.steps_per_loop == 200
