"""TensorFlow's import, with its log kept off the terminal unless the user asks for it."""

import gc
import os
import threading


def quiet_tensorflow(verbose: bool = False) -> None:
    """Keeps the log of TensorFlow's C++ part off the terminal, unless `verbose`. Works only before its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")


def configure_tensorflow(verbose: bool = False, xla: bool = False) -> None:
    """Imports TensorFlow with the environment variables and the log level that a run needs.

    Args:
        verbose: Show TensorFlow's log.
        xla: Whether the run compiles with XLA.
    """
    if xla:  # on a CPU, XLA's automatic clustering needs this flag beside the session's setting
        xla_flags = os.environ.get("TF_XLA_FLAGS", "")
        os.environ["TF_XLA_FLAGS"] = f"{xla_flags} --tf_xla_cpu_global_jit".strip()
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
    show = threading.excepthook
    # The thread that writes events prints its exception although it also hands it to the main thread.
    threading.excepthook = lambda args: None if "EventLogger" in getattr(args.thread, "name", "") else show(args)
