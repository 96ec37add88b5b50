"""A run as one process of it sees it."""

from pathlib import Path
from typing import NamedTuple, Optional

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute.tf_config import Task
from estimator_mnist.system.signals import Stopper
from estimator_mnist.training.cluster.peer_monitor import PeerMonitor
from estimator_mnist.training.progress import Progress


class Cluster(NamedTuple):
    """What a process knows of the cluster that it belongs to."""

    task: Task
    monitor: PeerMonitor
    evaluator: bool  # whether a task of it evaluates


class Job(NamedTuple):
    """What to run, where, and who hears of it."""

    experiment: Experiment
    data: input_fns.Data
    model_dir: Path  # empty, or with a part of this very experiment
    stopper: Stopper  # answers signals
    progress: Progress
    cluster: Optional[Cluster] = None  # that this process belongs to

    @property
    def task(self) -> Optional[Task]:
        return self.cluster.task if self.cluster else None
