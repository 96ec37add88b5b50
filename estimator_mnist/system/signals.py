"""Signals: SIGTERM, or SIGINT once, ends a run after the step it is in, saved; a second SIGINT ends it at once."""

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Dict, Optional, Type

# Environment variable: a pipe of which only the parent holds the other end. A run that has it ends with its parent.
PARENT_PIPE = "ESTIMATOR_MNIST_PARENT_PIPE"


class Stopped(BaseException):
    """A signal ended the run. `exit_code` is what a shell gives for it: 128 and the signal's number.

    As KeyboardInterrupt no Exception, so that what catches those cannot take it for a fault of its own.
    """

    def __init__(self, signum: int, step: Optional[int] = None):
        super().__init__(signal.Signals(signum).name)
        self.step = step  # at which the run was saved; None where it was not training
        self.exit_code = 128 + signum


class Stopper:
    """Answers signals while it is entered as a context.

    Where nothing is in the making, a signal raises Stopped on the spot. While `deferring`, it is only noted in
    `requested`, for the training loop to end after its step.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.deferring = False
        self.requested: Optional[int] = None
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> "Stopper":
        # Python runs a signal's handler only between two of its own instructions, so that a session call holds it up.
        # The number of the signal is written to this pipe at once, and read by a thread of its own.
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer)
        threading.Thread(target=_end_at_second_sigint, args=(reader,), daemon=True).start()
        self._before = {signum: signal.signal(signum, self._answer) for signum in self.SIGNALS}
        parent = os.environ.pop(PARENT_PIPE, None)  # not for processes that this one starts
        if parent:
            threading.Thread(target=_stop_with_parent, args=(int(parent),), daemon=True).start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._writer)  # the end of the thread

    def is_requested(self) -> bool:
        return self.requested is not None

    def _answer(self, signum: int, frame: Optional[FrameType]) -> None:
        self.requested = signum
        if not self.deferring:
            raise Stopped(signum)


def _end_at_second_sigint(reader: int) -> None:
    asked = 0
    for signum in iter(lambda: os.read(reader, 1), b""):
        asked += signum[0] == signal.SIGINT
        if asked == 2:
            os._exit(128 + signal.SIGINT)  # no goodbye: so the user wants it
    os.close(reader)


def _stop_with_parent(pipe: int) -> None:
    with contextlib.suppress(OSError):  # no such pipe: nobody to end with
        if not os.read(pipe, 1):  # the other end is closed: the parent is gone, in whatever way
            os.kill(os.getpid(), signal.SIGTERM)
