"""TensorFlow's import, with its log kept off the terminal unless the user asks for it."""

import contextlib
import gc
import os
import threading
from typing import Iterator


def quiet_tensorflow(verbose: bool = False) -> None:
    """Keeps the log of TensorFlow's C++ part off the terminal, unless `verbose`. Works only before its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")


def configure_tensorflow(verbose: bool = False, xla: bool = False) -> None:
    """Imports TensorFlow with the environment variables and the log level that a run needs.

    Args:
        verbose: Show TensorFlow's log.
        xla: Whether the run compiles with XLA.
    """
    if xla:
        _let_xla_compile_for_cpus()
    # The import makes a million objects that live to the end of the process. Collecting garbage among them, during the
    # import and ever after, takes half a second of a short run.
    gc.disable()
    import tensorflow as tf

    gc.freeze()
    gc.enable()
    if verbose:
        tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.INFO)
        return
    # Whatever ends a run reaches the user as an exception, in one line.
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)
    _silence_event_writers()


@contextlib.contextmanager
def quiet_within(xla: bool = False) -> Iterator[None]:
    """A context that imports TensorFlow for work within somebody else's process, with its log off.

    The levels of the log, and what threads do with exceptions, are restored. What C++ writes stays off the terminal
    only if this context is the first to import TensorFlow.

    Args:
        xla: Whether the work compiles with XLA.
    """
    quiet_tensorflow()
    if xla:
        _let_xla_compile_for_cpus()
    collects = gc.isenabled()
    gc.disable()  # as in `configure_tensorflow`, whose gc.freeze would keep the caller's garbage for ever
    try:
        import tensorflow as tf
    finally:
        if collects:
            gc.enable()
    logger, excepthook = tf.get_logger(), threading.excepthook
    level = logger.level
    logger.setLevel(tf.compat.v1.logging.FATAL)
    _silence_event_writers()
    try:
        yield
    finally:
        threading.excepthook = excepthook
        logger.setLevel(level)


def _let_xla_compile_for_cpus() -> None:
    # On a CPU, XLA's automatic clustering needs this flag beside the session's setting.
    flag, flags = "--tf_xla_cpu_global_jit", os.environ.get("TF_XLA_FLAGS", "")
    if flag not in flags:
        os.environ["TF_XLA_FLAGS"] = f"{flags} {flag}".strip()


def _silence_event_writers() -> None:
    # The thread that writes events prints its exception although it also hands it to the main thread.
    show = threading.excepthook
    threading.excepthook = lambda args: None if "EventLogger" in getattr(args.thread, "name", "") else show(args)
