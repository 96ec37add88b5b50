"""The networks that --model names: every module of this package that has an ARCHITECTURE adds one.

Beside these, --model takes FILE.py:FUNCTION, a network that a user's file defines.
"""

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Dict, List

from estimator_mnist import user_code
from estimator_mnist.architectures import arithmetic, user_networks
from estimator_mnist.architectures.architecture import Architecture
from estimator_mnist.architectures.recipes import GENERIC
from input_fns import InputError

if TYPE_CHECKING:
    from estimator_mnist.layers.network import Network


def _discover() -> Dict[str, Architecture]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    records = [module.ARCHITECTURE for module in modules if hasattr(module, "ARCHITECTURE")]
    return {record.name: record for record in records}


ARCHITECTURES = _discover()
RECIPES = tuple(sorted({recipe for record in ARCHITECTURES.values() for recipe in record.recipes} | set(GENERIC)))


def named(model: str) -> Architecture:
    """Returns the record of a built-in network or, for FILE.py:FUNCTION, of a user's. It runs none of a user's code.

    Raises:
        KeyError: There is no such network.
    """
    return user_networks.record(model) if user_code.is_reference(model) else ARCHITECTURES[model]


def images_per_call(experiment: Any) -> int:
    """Returns how many images a session call trains on unless the user says otherwise."""
    return experiment.architecture.images_per_call or arithmetic.images_per_call(create_network(experiment))


def shards(experiment: Any) -> int:
    """Returns how many micro-batches a batch has."""
    return experiment.architecture.shards or arithmetic.shards(create_network(experiment))


def create_network(experiment: Any, partitions: int = 1) -> "Network":
    """Returns the network of an experiment, without its variables.

    Args:
        experiment: An Experiment, which names the architecture and the shape of the images.
        partitions: How many partitions the architecture's `partitioned_layers` are split into.

    Raises:
        InputError: The architecture's layers do not make a network, or not one for the experiment.
    """
    from estimator_mnist.layers.network import Network

    architecture = named(experiment.model)
    layers = _partitioned(architecture.layers(experiment), architecture, partitions)
    try:
        network = Network(layers, experiment.image_shape, experiment.classes)
    except InputError as error:
        raise InputError(f"--model {experiment.model}: {error}") from error
    except RecursionError as error:
        raise InputError(f"--model {experiment.model}: layers within layers are too deep for Python") from error
    if network.has_statistics and experiment.strategy != "none":
        raise InputError(
            f"--strategy: {experiment.strategy} is not possible with BatchNorm layers (--model {experiment.model}); "
            "it must be none: replicas do not share a batch's statistics"
        )
    return network


def _partitioned(layers: List[Any], architecture: Architecture, partitions: int) -> List[Any]:
    """Returns the layers with the units of one, and the inputs of the next, split (Megatron-LM, arXiv 1909.08053,
    section 3: so the partitions need to meet only behind the second layer)."""
    if partitions == 1 or not architecture.partitioned_layers:
        return layers
    units_of, inputs_of = architecture.partitioned_layers
    changes = {units_of: {"parts": partitions}, inputs_of: {"input_parts": partitions}}
    return [dataclasses.replace(layer, **changes.get(layer.name, {})) for layer in layers]
