"""The networks that --model names: every module of this package that has an ARCHITECTURE adds one."""

import dataclasses
import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, Dict, List

from estimator_mnist.architectures.architecture import Architecture
from input_fns import InputError

if TYPE_CHECKING:
    from estimator_mnist.layers.network import Network


def _discover() -> Dict[str, Architecture]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    records = [module.ARCHITECTURE for module in modules if hasattr(module, "ARCHITECTURE")]
    return {record.name: record for record in records}


ARCHITECTURES = _discover()
RECIPES = tuple(sorted({recipe for record in ARCHITECTURES.values() for recipe in record.recipes}))


def create_network(experiment: Any, partitions: int = 1) -> "Network":
    """Returns the network of an experiment, without its variables.

    Args:
        experiment: An Experiment, which names the architecture and the shape of the images.
        partitions: How many partitions the architecture's `partitioned_layers` are split into.

    Raises:
        InputError: The architecture's layers do not make a network, or not one for the experiment.
    """
    from estimator_mnist.layers.network import Network

    architecture = ARCHITECTURES[experiment.model]
    layers = architecture.layers(experiment)
    network = Network(_partitioned(layers, architecture, partitions), experiment.image_shape, experiment.classes)
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
