"""The main job by several processes of this machine, each a task of a cluster as TF_CONFIG describes it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, Callable, Dict, List, NamedTuple, Optional, Set, Tuple

import input_fns
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.distribute import tf_config
from estimator_mnist.distribute.tf_config import CHIEF, EVALUATOR, PS, WORKER
from estimator_mnist.system import signals, terminal
from estimator_mnist.system.interpreter import module_command
from estimator_mnist.system.signals import Stopped, Stopper
from input_fns import InputError

POLL_SECONDS = 0.1
# After the first failure the others may say what they lost, and after a signal save; then they are ended.
GRACE_SECONDS, KILL_SECONDS = 8.0, 30.0
OWN_FLAGS = ("workers", "ps", "flagfile")  # not for the tasks; what a flagfile holds is given to them one by one


class Place(NamedTuple):
    """A task and its TF_CONFIG."""

    name: str
    config: str

    @property
    def trains(self) -> bool:
        return not self.name.startswith((PS, EVALUATOR))


def run(named_data: Callable[[], input_fns.Data]) -> int:
    """Runs all tasks to their end and returns the exit code, of the first task that failed if one did.

    Args:
        named_data: Returns the data that the flags name; so it is prepared once, before there are several to do so.

    Raises:
        InputError: A flag's value is not possible; nothing was started.
    """
    strategy = FLAGS.strategy or ("parameter_server" if FLAGS.ps else "multi_worker")
    if strategy not in ("multi_worker", "parameter_server"):
        raise InputError(f"--strategy: {strategy} has no cluster; give multi_worker or parameter_server, or no cluster")
    if (strategy == "parameter_server") != (FLAGS.ps > 0):
        raise InputError(f"--ps: {FLAGS.ps} is not possible; parameter_server needs at least 1, multi_worker has none")
    FLAGS["strategy"].parse(strategy)
    FLAGS["strategy"].present = 1  # as if it were given: for the tasks it is
    experiment = flags.experiment(named_data())
    if strategy == "multi_worker" and experiment.batch_size < FLAGS.workers:
        raise InputError(
            f"--batch_size: {experiment.batch_size} is not possible; the {FLAGS.workers} workers need one each"
        )
    words = [flag.serialize() for flag in map(FLAGS.__getitem__, FLAGS) if flag.present and flag.name not in OWN_FLAGS]
    with Stopper() as stopper:
        stopper.deferring = True
        return _Tasks(places(strategy, FLAGS.workers, FLAGS.ps, FLAGS.evaluator), words, experiment).run(stopper)


def places(strategy: str, workers: int, ps: int, evaluator: bool) -> List[Place]:
    """Returns the tasks of a cluster on free ports of the loopback, the chief first."""
    asynchronous = strategy == "parameter_server"  # Estimator wants a chief there; elsewhere worker/0 is it
    counts = {CHIEF: 1, WORKER: workers - 1, PS: ps} if asynchronous else {WORKER: workers}
    ports = _free_ports(sum(counts.values()))
    cluster = {type: [f"127.0.0.1:{ports.pop()}" for _ in range(count)] for type, count in counts.items() if count}
    found = [(type, index) for type, addresses in cluster.items() for index in range(len(addresses))]
    found += [(EVALUATOR, 0)] if evaluator else []
    return [
        Place(f"{type}/{index}", json.dumps({"cluster": cluster, "task": {"type": type, "index": index}}))
        for type, index in found
    ]


def _free_ports(count: int) -> List[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


class _Tasks:
    """The processes. They end with this one, in whatever way it ends: see stopping.PARENT_PIPE."""

    def __init__(self, places: List[Place], words: List[str], experiment: Experiment):
        self._places, self._words = places, words
        self._experiment = experiment
        self._running: Dict[Place, subprocess.Popen[str]] = {}
        self._sent: Set[Tuple[Place, int]] = set()  # signals
        self._readers: List[threading.Thread] = []
        self._failed: Optional[Tuple[str, int]] = None  # the first that did, and its exit code

    def run(self, stopper: Stopper) -> int:
        parent_reader, parent_writer = os.pipe()
        progress_reader, progress_writer = os.pipe()
        try:
            for place in self._places:
                self._start(place, parent_reader, progress_writer)
            os.close(progress_writer)
            with terminal.Progress(self._experiment, 0) as bar:
                self._follow(_show_progress, os.fdopen(progress_reader), bar)
                self._wait(stopper)
                for reader in self._readers:
                    reader.join()
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
            os.close(parent_writer)
            os.close(parent_reader)
        if stopper.requested:
            terminal.say(f"Stopped by {Stopped(stopper.requested)}; the same command goes on")
            return 128 + stopper.requested
        if self._failed:
            name, code = self._failed
            how = f"exit code {code}" if code > 0 else f"{signal.Signals(-code).name}"
            then = "" if code == 2 else "; the same command goes on"  # wrong input is wrong again
            print(f"error: {name} ended first, by {how}; its lines say why{then}", file=sys.stderr)
            return code if code > 0 else 128 - code
        return 0

    def _start(self, place: Place, parent: int, progress: int) -> None:
        environment = {**os.environ, tf_config.VARIABLE: place.config, signals.PARENT_PIPE: str(parent)}
        handed = [parent]
        if place is self._places[0]:
            environment[terminal.PROGRESS_PIPE] = str(progress)
            handed.append(progress)
        process = subprocess.Popen(
            module_command("estimator_mnist", *self._words),
            env=environment,
            pass_fds=handed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C is for this process, which tells them
        )
        self._running[place] = process
        self._follow(_show_lines, process.stdout, place.name)

    def _follow(self, show: Callable, *arguments: object) -> None:
        self._readers.append(threading.Thread(target=show, args=arguments, daemon=True))
        self._readers[-1].start()

    def _wait(self, stopper: Stopper) -> None:
        """Waits until all have ended, and sees to it that they do where one fails or a signal comes."""
        told: Optional[float] = None  # when those that train were asked to end
        failed_at: Optional[float] = None
        while self._running:
            for place, process in list(self._running.items()):
                code = process.poll()
                if code is None:
                    continue
                del self._running[place]
                # A ps ends by the signal that it is sent below; and what comes after the first failure follows from it.
                if code and not self._failed and told is None and not (place.name.startswith(PS) and not self._train()):
                    self._failed, failed_at = (place.name, code), time.monotonic()
            now = time.monotonic()
            late = failed_at is not None and now - failed_at > GRACE_SECONDS
            if (stopper.requested or late) and told is None:
                told = now
                self._signal(signal.SIGTERM, [place for place in self._running if place.trains])
            if not self._train():
                # Nobody needs a ps any more; an evaluator comes to its end where the training has come to its own.
                ended_well = not (stopper.requested or self._failed)
                self._signal(signal.SIGTERM, [p for p in self._running if not (ended_well and EVALUATOR in p.name)])
            if told is not None and now - told > KILL_SECONDS:
                self._signal(signal.SIGKILL, list(self._running))
            time.sleep(POLL_SECONDS)

    def _train(self) -> bool:
        return any(place.trains for place in self._running)

    def _signal(self, signum: int, places: List[Place]) -> None:
        for place in places:
            if (place, signum) not in self._sent:  # once: the second would meet it amid its end
                self._sent.add((place, signum))
                self._running[place].send_signal(signum)


def _show_lines(lines: IO[str], name: str) -> None:
    for line in lines:
        terminal.say(f"[{name}] {line.rstrip()}")


def _show_progress(lines: IO[str], bar: terminal.Progress) -> None:
    for line in lines:
        step, scalars = json.loads(line)
        bar.trained(step, scalars)
