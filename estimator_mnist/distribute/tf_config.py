"""The role of this process in a cluster, read from TF_CONFIG as TensorFlow documents it."""

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from input_fns import InputError

CHIEF, WORKER, PS, EVALUATOR = TYPES = ("chief", "worker", "ps", "evaluator")
VARIABLE = "TF_CONFIG"
LIKE = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'


class Peer(NamedTuple):
    """A task of the cluster and its address."""

    name: str  # "worker/1"
    address: str  # "host:port"


@dataclass(frozen=True)
class Task:
    """One process of a cluster."""

    type: str
    index: int
    cluster: Dict[str, Tuple[str, ...]]  # addresses by type; nobody calls the evaluator's

    @property
    def name(self) -> str:
        return f"{self.type}/{self.index}"

    @property
    def trainers(self) -> List[Peer]:
        """The tasks that train, the chief first. The chief is the task of that type or, if there is none, worker/0."""
        return [*self._of(CHIEF), *self._of(WORKER)]

    @property
    def chief(self) -> Peer:
        return self.trainers[0]

    @property
    def is_chief(self) -> bool:
        return self.name == self.chief.name

    @property
    def trains(self) -> bool:
        return self.type in (CHIEF, WORKER)

    @property
    def number(self) -> int:
        """The index of this task among the trainers."""
        return [trainer.name for trainer in self.trainers].index(self.name)

    @property
    def peers(self) -> List[Peer]:
        """The tasks that this one needs."""
        needed = [*self.trainers, *self._of(PS)] if self.trains else [self.chief]
        return [peer for peer in needed if peer.name != self.name]

    def _of(self, type: str) -> List[Peer]:
        return [Peer(f"{type}/{index}", address) for index, address in enumerate(self.cluster.get(type, ()))]

    def for_tensorflow(self) -> str:
        """Returns the TF_CONFIG for TensorFlow, which expects a chief in the evaluator's cluster."""
        cluster = {CHIEF: [self.chief.address]} if self.type == EVALUATOR else self.cluster
        return json.dumps({"cluster": cluster, "task": {"type": self.type, "index": self.index}})


def leave() -> None:
    """Detaches this process from any cluster that TF_CONFIG names: only training uses one."""
    os.environ.pop(VARIABLE, None)


def read(strategy: str) -> Optional[Task]:
    """Returns the task of this process, None if the strategy has no cluster.

    Args:
        strategy: What --strategy says.

    Raises:
        InputError: TF_CONFIG is missing, invalid, or does not fit the strategy.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if strategy not in ("multi_worker", "parameter_server"):
        if text and _json(text).get("cluster"):
            raise InputError(
                f"{VARIABLE}: describes a cluster, and --strategy {strategy} has none; give --strategy multi_worker or "
                f"parameter_server, or unset {VARIABLE}"
            )
        return None
    if not text:
        raise InputError(
            f"--strategy {strategy}: {VARIABLE} is not set; set it for each task, like {LIKE}, or let `cluster` start "
            "the tasks on this machine"
        )
    task = _task(_json(text))
    complete = task.type == EVALUATOR or (task.cluster.get(PS) and task.cluster.get(CHIEF))
    if strategy == "parameter_server" and not complete:
        raise InputError(f"{VARIABLE}: --strategy parameter_server needs a chief and at least one ps in its cluster")
    if strategy == "multi_worker" and task.type == PS:
        raise InputError(f"{VARIABLE}: --strategy multi_worker has no use for a ps; give --strategy parameter_server")
    return task


def _json(text: str) -> Dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{VARIABLE}: is not JSON ({error}); it must be like {LIKE}") from error
    if not isinstance(values, dict):
        raise InputError(f"{VARIABLE}: is {text}; it must be like {LIKE}")
    return values


def _task(values: Dict[str, Any]) -> Task:
    task = values.get("task")
    if not isinstance(values.get("cluster"), dict) or not isinstance(task, dict):
        raise InputError(f'{VARIABLE}: lacks "cluster" or "task"; it must be like {LIKE}')
    cluster = _cluster(values["cluster"])
    type, index = task.get("type"), task.get("index", 0)
    index = int(index) if str(index).isdigit() else -1
    count = 1 if type == EVALUATOR else len(cluster.get(str(type), ()))
    if type not in TYPES or not 0 <= index < count:
        raise InputError(f"{VARIABLE}: the task is {json.dumps(task)}, which its cluster does not have")
    return Task(str(type), index, cluster)


def _cluster(values: Dict[str, Any]) -> Dict[str, Tuple[str, ...]]:
    """Returns the addresses by the type of their tasks.

    Raises:
        InputError: A type or an address is invalid, an address is listed twice, or no task trains.
    """
    for type, addresses in values.items():
        if type not in TYPES:
            raise InputError(f'{VARIABLE}: the cluster has "{type}"; known are {", ".join(TYPES)}')
        if not isinstance(addresses, list) or not all(map(_is_address, addresses)):
            raise InputError(f'{VARIABLE}: "{type}" of the cluster is {addresses}; it must be a list of "host:port"')
    cluster = {type: tuple(addresses) for type, addresses in values.items() if addresses}
    listed = [address for addresses in cluster.values() for address in addresses]
    if len(set(listed)) < len(listed):
        raise InputError(f"{VARIABLE}: the cluster lists an address twice; give each task another one")
    if len(cluster.get(CHIEF, ())) > 1:
        raise InputError(f"{VARIABLE}: the cluster has {len(cluster[CHIEF])} chiefs; it must have one at most")
    if not (cluster.get(CHIEF) or cluster.get(WORKER)):
        raise InputError(f"{VARIABLE}: no task of the cluster trains; it needs a chief or a worker")
    return cluster


def _is_address(address: Any) -> bool:
    host, _, port = str(address).rpartition(":")
    return isinstance(address, str) and bool(host) and port.isdigit() and 0 < int(port) < 2**16
