"""TensorFlow's own words: kept off the terminal unless the user asks for them."""

import gc
import os
import threading

from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's own log off the terminal, unless --verbosity asks for it. Works only before its import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if flags.verbose() else "3")


def configure_tensorflow(experiment: Experiment) -> None:
    """Imports TensorFlow, as quiet as the user wants it, with what it reads from the environment."""
    if experiment.xla:  # on a CPU, XLA's automatic clustering needs this beside the session's setting
        xla_flags = os.environ.get("TF_XLA_FLAGS", "")
        os.environ["TF_XLA_FLAGS"] = f"{xla_flags} --tf_xla_cpu_global_jit".strip()
    # The import makes a million objects that stay: to look for garbage among them, then and ever after, takes half a
    # second of a short run.
    gc.disable()
    import tensorflow as tf

    gc.freeze()
    gc.enable()
    if flags.verbose():
        tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.INFO)
        return
    # Whatever ends a run reaches the user as an exception, in one line.
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)
    show = threading.excepthook
    # The thread that writes events prints its exception, and hands it on to the main thread, too.
    threading.excepthook = lambda args: None if "EventLogger" in getattr(args.thread, "name", "") else show(args)
