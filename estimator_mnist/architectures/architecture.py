"""The record that describes an architecture: one value holds all that is chosen for a network.

Nothing here imports TensorFlow, so that the command line can list and check architectures at once. `experiment`
stands for an `estimator_mnist.config.experiment.Experiment`, which stands above this room and is not imported.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, FrozenSet, Iterable, List, Mapping, Optional, Protocol, Sequence, Tuple

if TYPE_CHECKING:
    import tensorflow as tf

    from estimator_mnist.layers.network import Network

Recipe = Mapping[str, Any]  # fields of Experiment


class Loss(Protocol):
    """A loss of logits, float32 [n, classes], and labels, int32 [n]."""

    unit: str  # of the loss of one example, for axes

    def per_example(self, labels: "tf.Tensor", logits: "tf.Tensor") -> "tf.Tensor":
        """Returns the loss of each example as evaluations take it, without label smoothing: float32 [n]."""

    def with_gradient(self, labels: "tf.Tensor", logits: "tf.Tensor") -> "Tuple[tf.Tensor, tf.Tensor]":
        """Returns the training loss of each example, float32 [n], and its gradient, float32 [n, classes]."""


class StepSizes(Protocol):
    """A step size for each weight, in place of one learning rate for all."""

    def begin(self, network: "Network", images: "tf.Tensor", first_step: "tf.Tensor") -> None:
        """Sets the step sizes for the updates of a session call that starts at a step (int64 scalar)."""

    def scale(self, gradients: "Sequence[tf.Tensor]") -> "List[tf.Tensor]":
        """Returns the gradients, each times its weight's step size."""


@dataclass(frozen=True)
class Architecture:
    """A network, how its training is spread over CPU cores, and its recipes."""

    name: str  # of --model
    layers: Callable[[Any], "List[Any]"]  # of an experiment; imports `estimator_mnist.layers` when it is called
    recipes: Mapping[str, Recipe]  # by the name of the recipe
    # Recipes for one data set, by (recipe, TFDS name): what they set otherwise than the recipe.
    dataset_recipes: Mapping[Tuple[str, str], Recipe] = field(default_factory=dict)
    # Images in one session call unless the user says otherwise: below a third of a second's work on two cores, so that
    # progress moves and signals are answered, and fifty times the fixed cost of a call, a millisecond or two.
    # None: chosen by the network's arithmetic.
    images_per_call: Optional[int] = None
    shards: Optional[int] = None  # micro-batches of a batch, each a chain of ops that one core works on; None: likewise
    # Two dense layers, one after the other, whose units are split into `partitions` that cores compute side by side.
    partitioned_layers: Tuple[str, ...] = ()
    partitions: int = 1
    options: FrozenSet[str] = frozenset()  # fields of Experiment that only some architectures know
    # Yields (field of the experiment, whether its value is possible, what it must be).
    requirements: Callable[[Any], Iterable[Tuple[str, bool, str]]] = lambda experiment: ()
    # Hooks for a training method that belongs to one architecture.
    loss: Optional[Callable[[Any], Loss]] = None  # for an --loss that is not cross_entropy
    step_sizes: Optional[Callable[[Any, "Network"], StepSizes]] = None  # for --optimizer lecun
    curvature_examples: int = 0  # training images that step sizes are estimated on

    def recipe(self, name: str, dataset: str) -> "dict[str, Any]":
        """Returns what a recipe sets on a data set (its TFDS name): fields of Experiment.

        Raises:
            KeyError: The architecture has no such recipe.
        """
        dataset_name, *_version = dataset.split(":")
        return {**self.recipes[name], **self.dataset_recipes.get((name, dataset_name), {})}
