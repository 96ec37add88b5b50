"""Signals: SIGTERM or one SIGINT ends a run after its current step, saved. A second SIGINT ends it at once.

`Stopper` is the command line's and may end the process. `Interrupts` is the Python API's and only raises.
"""

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Dict, Optional, Tuple, Type

# Environment variable: a pipe whose other end only the parent holds. A run with this variable ends with its parent.
PARENT_PIPE = "ESTIMATOR_MNIST_PARENT_PIPE"


class Stopped(BaseException):
    """A signal ended the run. `exit_code` is the one that shells use: 128 plus the signal's number.

    Like KeyboardInterrupt it is no Exception, so that no handler of errors swallows it.
    """

    def __init__(self, signum: int, step: Optional[int] = None):
        super().__init__(signal.Signals(signum).name)
        self.step = step  # the step at which the run was saved; None if it was not training
        self.exit_code = 128 + signum


class Stopper:
    """Handles signals while it is entered as a context.

    By default a signal raises Stopped on the spot. While `deferring`, it is only recorded in `requested`, and the
    training loop ends after its step.
    """

    SIGNALS: Tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.deferring = False
        self.requested: Optional[int] = None
        self._before: Dict[int, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> "Stopper":
        # Python runs a signal's handler between two bytecode instructions, hence only after the current session call.
        # The signal's number is written to this pipe at once, where a thread reads it.
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer)
        threading.Thread(target=_end_at_second_sigint, args=(reader,), daemon=True).start()
        self._before = {signum: signal.signal(signum, self._handle) for signum in self.SIGNALS}
        parent = os.environ.pop(PARENT_PIPE, None)  # popped, so that child processes do not inherit it
        if parent:
            threading.Thread(target=_stop_with_parent, args=(int(parent),), daemon=True).start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._restore_handlers()
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._writer)  # ends the thread

    def _restore_handlers(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def is_requested(self) -> bool:
        return self.requested is not None

    def _handle(self, signum: int, frame: Optional[FrameType]) -> None:
        self.requested = signum
        if not self.deferring:
            raise Stopped(signum)


class Interrupts(Stopper):
    """Handles SIGINT for a run within somebody else's process, such as a notebook's kernel.

    While `deferring`, the first SIGINT is recorded in `requested`. Any other raises KeyboardInterrupt on the spot.
    Other signals, and the wakeup file descriptor of an event loop, are left alone. Outside the main thread, where
    Python runs no handlers, nothing is touched.
    """

    SIGNALS = (signal.SIGINT,)

    def __enter__(self) -> "Interrupts":
        # A handler that is not Python's could not be restored: getsignal returns None for it.
        untouched = (None, signal.SIG_IGN)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) not in untouched:
            self._before = {signal.SIGINT: signal.signal(signal.SIGINT, self._handle)}
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._restore_handlers()

    def _handle(self, signum: int, frame: Optional[FrameType]) -> None:
        if not self.deferring or self.requested is not None:
            raise KeyboardInterrupt
        self.requested = signum


def _end_at_second_sigint(reader: int) -> None:
    asked = 0
    for signum in iter(lambda: os.read(reader, 1), b""):
        asked += signum[0] == signal.SIGINT
        if asked == 2:
            os._exit(128 + signal.SIGINT)  # without cleanup: the user wants out
    os.close(reader)


def _stop_with_parent(pipe: int) -> None:
    with contextlib.suppress(OSError):  # no such pipe: there is no parent to watch
        if not os.read(pipe, 1):  # the other end is closed: the parent has ended
            os.kill(os.getpid(), signal.SIGTERM)
