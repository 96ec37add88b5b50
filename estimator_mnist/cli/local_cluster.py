"""The cluster command: the main job by several processes of this machine, each a task with its own TF_CONFIG."""

import json
import os
import signal
import socket
import sys
import threading
import time
from typing import IO, Callable, List, NamedTuple, Optional, Tuple

import input_fns
from estimator_mnist.cli import console
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.distribute import tf_config
from estimator_mnist.distribute.tf_config import CHIEF, EVALUATOR, PS, WORKER
from estimator_mnist.system import terminal
from estimator_mnist.system.child_processes import PIPE, ChildProcesses, Program, exit_reason
from estimator_mnist.system.interpreter import module_command
from estimator_mnist.system.signals import Stopped, Stopper
from estimator_mnist.system.tensorflow_setup import configure_tensorflow
from input_fns import InputError

POLL_SECONDS = 0.1
FAILURE_GRACE_SECONDS = 8.0  # after the first failure, for the other tasks to say what they lost
SAVE_GRACE_SECONDS = 30.0  # after SIGTERM, for the tasks to save and end before they are killed
# Flags that the tasks do not get. They get the flags that a flagfile holds one by one.
CLUSTER_FLAGS = ("workers", "ps", "flagfile")


class ClusterTask(NamedTuple):
    """A task of the cluster."""

    name: str  # "worker/1"
    tf_config: str  # the value of its TF_CONFIG

    @property
    def trains(self) -> bool:
        return not self.name.startswith((PS, EVALUATOR))


class Failure(NamedTuple):
    """The first failure of a task."""

    task_name: str
    exit_code: int  # -N after signal N
    time: float  # of time.monotonic


def run(find_data: Callable[[], input_fns.Data]) -> int:
    """Runs all tasks to their end and returns the exit code: that of the first task that failed, if any.

    Args:
        find_data: Returns the data that the flags name. It is called once, so that the tasks find prepared data.

    Raises:
        InputError: A flag's value or a user's file is not possible; nothing was started.
    """
    strategy = FLAGS.strategy or ("parameter_server" if FLAGS.ps else "multi_worker")
    if strategy not in ("multi_worker", "parameter_server"):
        raise InputError(f"--strategy: {strategy} has no cluster; give multi_worker or parameter_server, or no cluster")
    if (strategy == "parameter_server") != (FLAGS.ps > 0):
        raise InputError(f"--ps: {FLAGS.ps} is not possible; parameter_server needs at least 1, multi_worker has none")
    FLAGS["strategy"].parse(strategy)
    FLAGS["strategy"].present = 1  # as if the user had given it, so that the tasks get it
    experiment = flags.experiment(find_data())
    if strategy == "multi_worker" and experiment.batch_size < FLAGS.workers:
        raise InputError(
            f"--batch_size: {experiment.batch_size} is not possible; each of the {FLAGS.workers} workers needs at "
            "least one example of a batch"
        )
    if experiment.user_code:  # only a user's layers say whether replicas can share them
        configure_tensorflow(flags.verbose(), experiment.xla)
        from estimator_mnist.model import user_functions

        user_functions.check(experiment)
    given_flags = [flag for flag in map(FLAGS.__getitem__, FLAGS) if flag.present and flag.name not in CLUSTER_FLAGS]
    command = module_command("estimator_mnist", *(flag.serialize() for flag in given_flags))
    tasks = local_tasks(strategy, FLAGS.workers, FLAGS.ps, FLAGS.evaluator)
    with Stopper() as stopper:
        stopper.deferring = True
        return _Cluster(tasks, command, stopper).run(experiment)


def local_tasks(strategy: str, workers: int, ps: int, evaluator: bool) -> List[ClusterTask]:
    """Returns the tasks of a cluster on free ports of the loopback interface, the chief first."""
    # Estimator wants a chief beside parameter servers. Elsewhere worker/0 is the chief.
    counts = {CHIEF: 1, WORKER: workers - 1, PS: ps} if strategy == "parameter_server" else {WORKER: workers}
    ports = _free_ports(sum(counts.values()))
    cluster = {type: [f"127.0.0.1:{ports.pop()}" for _ in range(count)] for type, count in counts.items() if count}
    members = [(type, index) for type, addresses in cluster.items() for index in range(len(addresses))]
    members += [(EVALUATOR, 0)] if evaluator else []
    return [
        ClusterTask(f"{type}/{index}", json.dumps({"cluster": cluster, "task": {"type": type, "index": index}}))
        for type, index in members
    ]


def _free_ports(count: int) -> List[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]  # all open at once: no port comes twice
    try:
        return [server.getsockname()[1] for server in servers]
    finally:
        for server in servers:
            server.close()


class _Cluster:
    """The running tasks, and the first failure of one."""

    def __init__(self, tasks: List[ClusterTask], command: List[str], stopper: Stopper):
        self._tasks, self._command, self._stopper = tasks, command, stopper
        self._children: ChildProcesses[ClusterTask] = ChildProcesses()
        self._readers: List[threading.Thread] = []
        self._first_failure: Optional[Failure] = None
        self._is_stopping = False  # whether the tasks that train have been asked to end

    def run(self, experiment: Experiment) -> int:
        with self._children:
            progress_lines = self._start_all()
            with console.TerminalProgress(experiment) as progress:
                self._read_in_thread(_show_progress, progress_lines, progress)
                while self._children.running:
                    self._poll()
                    time.sleep(POLL_SECONDS)
                for reader in self._readers:
                    reader.join()
        return self._exit_code()

    def _start_all(self) -> IO[str]:
        """Starts the tasks and returns the lines in which the chief tells its progress."""
        progress_reader, progress_writer = os.pipe()
        for task in self._tasks:
            environment = {tf_config.VARIABLE: task.tf_config}
            inherited_files: Tuple[int, ...] = ()
            if task is self._tasks[0]:
                environment[console.PROGRESS_PIPE] = str(progress_writer)
                inherited_files = (progress_writer,)
            program = Program(self._command, PIPE, environment=environment, inherited_files=inherited_files)
            self._read_in_thread(_show_lines, self._children.start(task, program).lines, task.name)
        os.close(progress_writer)
        return os.fdopen(progress_reader)

    def _read_in_thread(self, show: Callable, *arguments: object) -> None:
        self._readers.append(threading.Thread(target=show, args=arguments, daemon=True))
        self._readers[-1].start()

    def _poll(self) -> None:
        """Notes which tasks have ended, and ends the others after a failure or a signal."""
        self._note_ends()
        failure = self._first_failure
        grace_is_over = failure is not None and time.monotonic() - failure.time > FAILURE_GRACE_SECONDS
        if (self._stopper.requested or grace_is_over) and not self._is_stopping:
            self._is_stopping = True
            self._terminate([task for task in self._children.running if task.trains])
            self._children.kill_after(SAVE_GRACE_SECONDS)
        if not self._is_training():
            # No task needs the parameter servers any more. The evaluator ends by itself, but only after a run that
            # was trained to its end.
            ended_well = not (self._stopper.requested or failure)
            self._terminate([t for t in self._children.running if not (ended_well and t.name.startswith(EVALUATOR))])

    def _note_ends(self) -> None:
        ends = self._children.ended()
        for task, exit_code in ends:
            # A parameter server ends by the SIGTERM that `_poll` sends it once the training has ended. Whatever
            # follows the first failure, or a signal, is a consequence of it.
            was_terminated = task.name.startswith(PS) and not self._is_training()
            if exit_code and not self._first_failure and not self._is_stopping and not was_terminated:
                self._first_failure = Failure(task.name, exit_code, time.monotonic())

    def _is_training(self) -> bool:
        return any(task.trains for task in self._children.running)

    def _terminate(self, tasks: List[ClusterTask]) -> None:
        self._children.send_once(signal.SIGTERM, tasks)

    def _exit_code(self) -> int:
        if self._stopper.requested:
            terminal.say(f"Stopped by {Stopped(self._stopper.requested)}; rerun the same command to resume")
            return 128 + self._stopper.requested
        if self._first_failure is None:
            return 0
        name, exit_code, _ = self._first_failure
        hint = "" if exit_code == 2 else "; rerun the same command to resume"  # wrong input stays wrong
        print(f"error: {name} ended first, by {exit_reason(exit_code)}; its lines say why{hint}", file=sys.stderr)
        return exit_code if exit_code > 0 else 128 - exit_code


def _show_lines(lines: IO[str], name: str) -> None:
    for line in lines:
        terminal.say(f"[{name}] {line.rstrip()}")


def _show_progress(lines: IO[str], progress: console.TerminalProgress) -> None:
    for line in lines:
        step, scalars = json.loads(line)
        progress.trained(step, scalars)
