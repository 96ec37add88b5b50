"""The graph of a Keras model as a chain of steps, whose forks are steps with branches."""

from collections import Counter
from typing import Any, Dict, List, NamedTuple, Sequence

import tensorflow as tf

Node = Any  # of Keras: a call of a layer


class Step(NamedTuple):
    """A Keras layer, and the branches whose outputs it merges, if there are any."""

    layer: Any
    branches: Sequence[List["Step"]] = ()


class Problem(NamedTuple):
    """Why a part of a model has no translation."""

    name: str  # of the part
    reason: str


def steps_of(model: Any, problems: List[Problem]) -> List[Step]:
    """Returns the steps of a model. Models within it are replaced by their steps.

    Args:
        model: A tf.keras.Model.
        problems: Receives what makes it no chain.
    """
    if not type(model).__module__.startswith("keras."):
        problems.append(Problem(model.name, "a subclass may compute anything; it must be Sequential or functional"))
        return []
    if not model._is_graph_network:  # Sequential, of a shape that is not known yet
        layers = list(model._self_tracked_trackables)  # `layers` holds a shared layer once
        steps = [Step(layer) for layer in layers]
    else:
        for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
            if len(tensors) != 1:
                problems.append(Problem(model.name, f"it has {len(tensors)} {kind}; it must have one"))
                return []
        walk = _Walk(model)
        steps = walk.steps()
        problems += [Problem(name, "its output goes into two branches of a later fork") for name in walk.reused]
        layers = [node.layer for node in walk.nodes]
    shared = [layer for layer, count in Counter(layers).items() if count > 1]
    problems += [Problem(layer.name, "it is used more than once; weights are not shared here") for layer in shared]
    return _inlined(steps, problems)


def _inlined(steps: Sequence[Step], problems: List[Problem]) -> List[Step]:
    inlined: List[Step] = []
    for layer, branches in steps:
        if isinstance(layer, tf.keras.Model):
            inlined += steps_of(layer, problems)
        else:
            inlined.append(Step(layer, [_inlined(branch, problems) for branch in branches]))
    return inlined


class _Walk:
    """A walk from the output of a functional model back to its input."""

    def __init__(self, model: Any):
        depths = sorted(model._nodes_by_depth, reverse=True)
        self.nodes: List[Node] = [node for depth in depths for node in model._nodes_by_depth[depth]]  # inputs first
        self.reused: List[str] = []  # names of layers that belong to two branches
        self._visits: Dict[int, int] = Counter()
        (coordinates,) = model._output_coordinates
        layer, index, _ = coordinates
        self._output = layer._inbound_nodes[index]
        # Of each node, those that every way from the input to it passes through: the first is the input, the last is
        # the node itself. Branches that meet in a node fork at the last but one.
        self._passed: Dict[int, List[Node]] = {}
        for node in self.nodes:
            self._passed[id(node)] = [*_common_start([self._passed[id(parent)] for parent in node.parent_nodes]), node]

    def steps(self) -> List[Step]:
        start = self.nodes[0]
        return [Step(start.layer), *self._between(start, self._output)]

    def _between(self, start: Node, end: Node) -> List[Step]:
        """Returns the steps behind a node, up to and with another one, which each way to that passes through."""
        steps: List[Step] = []
        node = end
        while node is not start:
            self._visits[id(node)] += 1
            if self._visits[id(node)] > 1:
                self.reused.append(node.layer.name)
                break
            parents = node.parent_nodes
            if len(parents) == 1:
                steps.append(Step(node.layer))
                node = parents[0]
            else:
                fork = self._passed[id(node)][-2]
                steps.append(Step(node.layer, [self._between(fork, parent) for parent in parents]))
                node = fork
        return steps[::-1]


def _common_start(chains: Sequence[List[Node]]) -> List[Node]:
    """Returns the nodes that all chains begin with."""
    common = []
    for nodes in zip(*chains):
        if any(node is not nodes[0] for node in nodes):
            break
        common.append(nodes[0])
    return common
