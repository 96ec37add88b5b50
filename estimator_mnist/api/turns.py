"""The context of all that the Python API does with TensorFlow: one caller at a time, quiet, with plain errors."""

import contextlib
import threading
from typing import Callable, Iterator

from estimator_mnist.system.errors import RunError
from estimator_mnist.system.remote_path import RemoteError
from estimator_mnist.system.tensorflow_setup import quiet_within
from input_fns.sources.request import silence

Say = Callable[[str], None]

# Graphs belong to threads. The switch of control flow, matplotlib's style and the log levels belong to the process.
_turn = threading.RLock()


@contextlib.contextmanager
def turn(say: Say = silence, xla: bool = False) -> Iterator[None]:
    """A context that imports TensorFlow and that one thread at a time can be in.

    Args:
        say: Called with one line if another thread is in it and this one waits.
        xla: Whether the work compiles with XLA.

    Raises:
        RunError: A remote folder does not answer.
    """
    if not _turn.acquire(blocking=False):
        say("Waiting for another run of this process to end: runs in one process take turns")
        _turn.acquire()
    try:
        with quiet_within(xla):
            yield
    except RemoteError as error:
        raise RunError(f"{error.filename}: {error.strerror}; the folder must answer and be writable") from error
    finally:
        _turn.release()
