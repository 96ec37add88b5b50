"""How training is spread over devices and processes: TensorFlow's strategies, and what a training step needs of them.

The graph of a training step is the same everywhere. Outside a strategy there is one replica, and nothing is added.
"""

import functools
import os
import warnings
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import tensorflow as tf
from tensorflow.python.training import monitored_session

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import tf_config
from estimator_mnist.distribute.tf_config import Task
from input_fns import InputError

POLL_SECONDS = 1.0  # between two checks of a worker whether the chief has initialised the variables


class Replica(NamedTuple):
    """One of the copies of the network that train in lockstep."""

    number: int
    replicas: int

    def size(self, batch_size: int) -> int:
        """Returns how many examples of a batch are this replica's."""
        return len(range(self.number, batch_size, self.replicas))


def replica() -> Replica:
    """Returns the replica whose graph is being built, the only one outside a strategy."""
    context = tf.distribute.get_replica_context()
    return Replica(int(tf.get_static_value(context.replica_id_in_sync_group)), context.num_replicas_in_sync)


def summed(tensors: Sequence[tf.Tensor]) -> List[tf.Tensor]:
    """Returns the sums of tensors, float32 of known shapes, over all replicas.

    They are fused into one all-reduce to amortise the latency per message.
    """
    if replica().replicas == 1:
        return list(tensors)
    flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)

    def sum_up(strategy: tf.distribute.Strategy, value: tf.Tensor) -> tf.Tensor:
        return strategy.extended.reduce_to(tf.distribute.ReduceOp.SUM, value, destinations=value)

    # Like ReplicaContext.all_reduce, but without its gradient: that searches the graph for variables, and fails.
    total = tf.distribute.get_replica_context().merge_call(sum_up, args=(flat,))
    parts = tf.split(total, [tensor.shape.num_elements() for tensor in tensors])
    return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors)]


def begin(experiment: Experiment, task: Optional[Task]) -> None:
    """Prepares this process for its strategy. Call it before TensorFlow creates anything.

    Raises:
        InputError: The batches are too small to be shared by so many replicas.
    """
    if task:
        os.environ[tf_config.VARIABLE] = task.for_tensorflow()
    else:
        tf_config.leave()  # TensorFlow would read what is left of it, and takes an empty text for an error
    if experiment.strategy == "none":
        return
    # Estimator builds graphs. With eager execution, a strategy would start a second server on the port of
    # `train_and_evaluate`'s.
    tf.compat.v1.disable_eager_execution()
    warnings.filterwarnings("ignore", "To make it possible to preserve tf.data options")  # irrelevant here
    if experiment.strategy == "parameter_server":
        # By default it checks every 30 seconds, half of a run of a minute.
        manager = functools.partial(tf.compat.v1.train.SessionManager, recovery_wait_secs=POLL_SECONDS)
        monitored_session.sm.SessionManager = manager
    if experiment.strategy == "parameter_server" or (task and not task.trains):
        return
    count = share(experiment, task).of
    if experiment.batch_size < count:
        raise InputError(f"--batch_size: {experiment.batch_size} is not possible; the {count} replicas need one each")


def share(experiment: Experiment, task: Optional[Task]) -> input_fns.Share:
    """Returns which of the training examples this process trains on."""
    if experiment.strategy == "parameter_server":
        assert task
        return input_fns.Share(task.number, 1, len(task.trainers), whole_batches=True)
    local = len(devices(experiment))
    if task and task.trains:
        return input_fns.Share(task.number * local, local, len(task.trainers) * local)
    return input_fns.Share(0, local, local)


def devices(experiment: Experiment) -> List[str]:
    """Returns the devices of this process that train, one for each replica."""
    gpus = len(tf.config.list_physical_devices("GPU")) if experiment.strategy in ("mirrored", "multi_worker") else 0
    kind = "GPU" if gpus else "CPU"
    count = gpus or 1
    if experiment.strategy == "mirrored" and experiment.replicas:
        if gpus and experiment.replicas > gpus:
            raise InputError(f"--replicas: {experiment.replicas} is not possible; this machine has {gpus} GPUs")
        count = experiment.replicas
    return [f"/device:{kind}:{number}" for number in range(count)]


def settings(experiment: Experiment, task: Optional[Task]) -> Dict[str, Any]:
    """Returns the arguments with which RunConfig distributes the training."""
    if experiment.strategy == "mirrored":
        return {"train_distribute": tf.distribute.MirroredStrategy(devices(experiment))}
    if experiment.strategy == "multi_worker" and task and task.trains:
        return {"train_distribute": tf.distribute.MultiWorkerMirroredStrategy()}
    if experiment.strategy == "parameter_server" and task and task.trains:
        return {"device_fn": _on_ps(task), "experimental_max_worker_delay_secs": 0}
    return {}


def _on_ps(task: Task) -> Any:
    """Returns a device function that places variables on the parameter servers in turn, each weight with its slots."""
    places: Dict[str, int] = {}

    def place(op: tf.Operation) -> int:
        weight = "/".join(op.name.split("/")[:2])  # "conv1/kernel" of "conv1/kernel/adam/m"
        return places.setdefault(weight, len(places)) % len(task.cluster[tf_config.PS])

    return tf.compat.v1.train.replica_device_setter(
        worker_device=f"/job:{task.type}/task:{task.index}",
        cluster=tf.train.ClusterSpec({type: list(addresses) for type, addresses in task.cluster.items()}),
        ps_strategy=place,
    )
