"""Monitors the other tasks of a cluster, so that no task waits for ever for one that is gone.

TensorFlow's own runtime would: it waits endlessly for a task that has not started, and after the loss of one, Estimator
recreates its session and waits. The monitor moves no tensors. It only asks whether the ports of the others answer.
"""

import os
import socket
import sys
import threading
import time
from typing import Callable, Dict, List, Optional

from estimator_mnist.distribute.tf_config import PS, Peer, Task

POLL_SECONDS = 0.5
CONNECT_SECONDS = 2.0
# How long a task must not answer before it counts as lost, and how long a session call may then take to end: at the end
# of a run the tasks leave one after the other.
GRACE_SECONDS = 3.0


class PeerMonitor:
    """Ends this process, with one line and exit code 1, where it would otherwise wait for ever."""

    def __init__(self, task: Task, timeout: float, finished: Callable[[], bool]):
        """
        Args:
            task: This process's.
            timeout: Seconds within which all tasks must answer, and their sessions must have started.
            finished: Tells whether the run is trained to its end.
        """
        self._task = task
        self.timeout = timeout
        self._finished = finished
        self._began = time.monotonic()
        self._gone: Dict[Peer, float] = {}  # since when
        self._formed = self._over = False
        self._call_began: Optional[float] = None

    def wait_for(self, peer: Peer, unless: Callable[[], bool]) -> bool:
        """Waits until a task listens and returns True. Returns False if `unless` becomes true before."""
        while not _listens(peer):
            if unless():
                return False
            self._end_if_late([peer])
            time.sleep(POLL_SECONDS)
        return True

    def start(self) -> None:
        """Starts to monitor the tasks that this one needs, and the timeout again."""
        self._began = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def formed(self) -> None:
        """Call this when the cluster's sessions have started."""
        self._formed = True

    def call(self, begins: bool) -> None:
        """Call this when a session call begins or has ended: only within one does this task wait for others."""
        self._call_began = (self._call_began or time.monotonic()) if begins else None

    def over(self) -> None:
        """Call this when this process needs no other any more."""
        self._over = True

    def _watch(self) -> None:
        while not self._over:
            now = time.monotonic()
            for peer in self._task.peers:
                if _listens(peer):
                    self._gone.pop(peer, None)
                else:
                    self._gone.setdefault(peer, now)
            if not self._task.trains and not self._gone:
                self.formed()
            lost = [peer for peer, since in self._gone.items() if now - since >= GRACE_SECONDS]
            if not self._formed:
                self._end_if_late(list(self._gone))
            elif lost and self._waits_since(now - GRACE_SECONDS):
                if self._task.trains or not self._finished():
                    _end(f"lost {_named(lost)}; restart all tasks to resume from the newest checkpoint")
                if self._task.type == PS:
                    os._exit(0)  # TensorFlow's server cannot be ended otherwise
                return  # the evaluator ends by itself
            time.sleep(POLL_SECONDS)

    def _waits_since(self, then: float) -> bool:
        """Tells whether this task has been waiting for others ever since."""
        began = self._call_began  # read once, because the other thread sets it
        return not self._task.trains or (began is not None and began <= then)

    def _end_if_late(self, missing: List[Peer]) -> None:
        if self._over or time.monotonic() - self._began < self.timeout:
            return
        within = f"within {self.timeout:g} s (--cluster_timeout)"
        if missing:
            _end(f"{_named(missing)} of TF_CONFIG did not answer {within}; is it started, and is its address right?")
        _end(f"the sessions of the cluster did not start {within}; do all tasks have the same TF_CONFIG and flags?")


def _listens(peer: Peer) -> bool:
    host, _, port = peer.address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _named(peers: List[Peer]) -> str:
    return ", ".join(f"{peer.name} at {peer.address}" for peer in peers)


def _end(why: str) -> None:
    """Ends the process from any thread: a session call that waits cannot be interrupted otherwise."""
    print(f"error: {why}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)
