"""What can end a run that its user did nothing wrong to start."""

import contextlib
import errno
import os
from pathlib import Path
from typing import Iterator, Optional

import input_fns
from estimator_mnist.config.experiment import FILE_NAME
from estimator_mnist.system.paths import SCHEME, is_remote, words_of
from input_fns import InputError
from input_fns.errors import OneLineError, reason


class RunError(OneLineError):
    """The run failed: the text says why, and how to go on. Exit code 1."""


LOST = "lost another task of the cluster; started again, all tasks go on from the newest checkpoint"
# What the system says where a file cannot be written or is gone. TensorFlow puts these words into errors of many
# classes; its event writer even into IndexError.
SYSTEM_ERRORS = [
    os.strerror(code)
    for code in (
        errno.ENOSPC,
        errno.EFBIG,
        errno.EDQUOT,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.EIO,
    )
]


@contextlib.contextmanager
def told_in_one_line(model_dir: Path, data: input_fns.Data) -> Iterator[None]:
    """A context in which what a user can cause, such as a full disk, becomes an error of one line."""
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        told = in_one_line(error, model_dir, data)
        if told is None:
            raise
        raise told from error


def in_one_line(error: Exception, model_dir: Path, data: input_fns.Data) -> Optional[Exception]:
    """Returns an error that a run met as one that says in one line what to do, None if it is a fault of the program.

    Args:
        error: What was raised.
        model_dir: The model_dir of the run.
        data: Its data.
    """
    import tensorflow as tf

    text = reason(error)
    if isinstance(error, tf.errors.DataLossError) or "outside the valid range" in text:
        where = data.train.images or Path(str(data.train.data_dir)) / str(data.train.tfds_name).replace(":", "/")
        return InputError(f"{where}: a record cannot be read or has an impossible label ({text})")
    if "Could not start gRPC server" in text:
        return RunError(f"TF_CONFIG: the port of this task cannot be opened ({text}); is another process there?")
    if isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError)) or "GRPC error" in text:
        return RunError(LOST)
    if isinstance(error, tf.errors.ResourceExhaustedError) and "OOM" in text:
        return RunError(f"out of memory ({text}); try a smaller --batch_size or --eval_batch_size")
    if is_remote(model_dir):
        return _of_remote(error, model_dir)
    if not (model_dir / FILE_NAME).exists():
        return RunError(
            f"--model_dir {model_dir}: was removed under the run; remove the rest, and the command starts anew"
        )
    if not (isinstance(error, OSError) or any(words in text for words in SYSTEM_ERRORS)):
        return None
    return RunError(
        f"--model_dir {model_dir}: the run failed there ({text}); the last whole checkpoint is kept, and once there is "
        "room and permission to write, the same command goes on from it"
    )


def _of_remote(error: Exception, model_dir: Path) -> Optional[Exception]:
    import tensorflow as tf

    # TensorFlow's errors of files name the file; these are of nothing else.
    of_network = (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError, tf.errors.UnavailableError)
    named = isinstance(error, tf.errors.OpError) and SCHEME.search(str(error))
    if not (isinstance(error, (OSError, *of_network)) or named):
        return None
    return RunError(
        f"--model_dir {model_dir}: the run failed there ({words_of(error)}); the last whole checkpoint is kept, and "
        "once the place answers and may be written to, the same command goes on from it"
    )
