"""RunError, and the translation of environment failures into errors of one line."""

import contextlib
import errno
import os
import re
from pathlib import Path
from typing import Iterator, Optional

import input_fns
from estimator_mnist.system.paths import is_remote
from estimator_mnist.system.remote_path import SCHEME, message_of
from input_fns import InputError
from input_fns.errors import OneLineError, reason


class RunError(OneLineError):
    """The run failed: the text says why, and what to do next. Exit code 1."""


LOST = "lost another task of the cluster; restart all tasks to resume from the newest checkpoint"
# A line of a user's file in TensorFlow's report, as `user_code.functions` names the file.
USER_CODE = re.compile(r'File "<[0-9a-f]{12}>/([^"]+)", line (\d+)')
# The system's messages for a file that cannot be written or is gone. TensorFlow puts them into errors of many classes,
# and its event writer even into IndexError.
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
def as_user_error(experiment_file: Path, data: input_fns.Data) -> Iterator[None]:
    """Re-raises environment failures, such as a full disk, as one-line errors.

    Args:
        experiment_file: The file in the run's model_dir that exists from the run's start to its end.
        data: The data of the run.

    Raises:
        InputError, RunError: See `translated`.
    """
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        user_error = translated(error, experiment_file, data)
        if user_error is None:
            raise
        raise user_error from error


def translated(error: Exception, experiment_file: Path, data: input_fns.Data) -> Optional[Exception]:
    """Returns an InputError or RunError that says in one line what to do about an environment failure.

    Args:
        error: The exception that the run met.
        experiment_file: The file in the run's model_dir that exists from the run's start to its end.
        data: The data of the run.

    Returns:
        None if the error is a bug of this program.
    """
    import tensorflow as tf

    model_dir, text = experiment_file.parent, reason(error)
    if isinstance(error, tf.errors.DataLossError) or "outside the valid range" in text:
        where = data.train.images or Path(str(data.train.data_dir)) / str(data.train.tfds_name).replace(":", "/")
        return InputError(f"{where}: a record cannot be read or has an impossible label ({text})")
    if "Could not start gRPC server" in text:
        return RunError(f"TF_CONFIG: the port of this task cannot be opened ({text}); is another process there?")
    if isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError)) or "GRPC error" in text:
        return RunError(LOST)
    if isinstance(error, tf.errors.ResourceExhaustedError) and "OOM" in text:
        return RunError(f"out of memory ({text}); try a smaller --batch_size or --eval_batch_size")
    places = USER_CODE.findall(str(error)) if isinstance(error, tf.errors.OpError) else []
    if places:  # an op of a user's function: TensorFlow's report ends with where it was made
        file, line = places[-1]
        return InputError(f"{file}:{line}: {type(error).__name__}: {text}")
    if is_remote(model_dir):
        return _of_remote(error, model_dir)
    if not experiment_file.exists():
        return RunError(
            f"--model_dir {model_dir}: was deleted during the run; delete what is left and run the command again"
        )
    if not (isinstance(error, OSError) or any(words in text for words in SYSTEM_ERRORS)):
        return None
    return RunError(
        f"--model_dir {model_dir}: the run failed there ({text}); the last intact checkpoint is kept; make room "
        "or give permission to write, then rerun the same command to resume"
    )


def _of_remote(error: Exception, model_dir: Path) -> Optional[Exception]:
    import tensorflow as tf

    # TensorFlow's file errors name the file. The errors below come from nothing but the network.
    of_network = (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError, tf.errors.UnavailableError)
    named = isinstance(error, tf.errors.OpError) and SCHEME.search(str(error))
    if not (isinstance(error, (OSError, *of_network)) or named):
        return None
    return RunError(
        f"--model_dir {model_dir}: the run failed there ({message_of(error)}); the last intact checkpoint is "
        "kept; rerun the same command to resume once the folder answers and is writable"
    )
