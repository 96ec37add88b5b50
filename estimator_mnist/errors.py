"""What can end a run that its user did nothing wrong to start."""

from pathlib import Path

import input_fns
from input_fns import InputError
from input_fns.errors import reason


class RunError(Exception):
    """The run failed: the text is one line that says why and how to go on. Exit code 1."""


def in_one_line(error: Exception, model_dir: Path, data: input_fns.Data) -> Exception:
    """Returns an error that a run met, TensorFlow's or the system's, as one that says in one line what to do.

    Args:
        error: A `tf.errors.OpError` or an OSError.
        model_dir: The model_dir of the run.
        data: Its data.
    """
    import tensorflow as tf

    text = reason(error)
    if isinstance(error, tf.errors.DataLossError) or "outside the valid range" in text:
        where = data.train.images or Path(str(data.train.data_dir)) / str(data.train.tfds_name).replace(":", "/")
        return InputError(f"{where}: a record cannot be read or has an impossible label ({text})")
    if isinstance(error, tf.errors.ResourceExhaustedError) and "OOM" in text:
        return RunError(f"out of memory ({text}); try a smaller --batch_size or --eval_batch_size")
    if not model_dir.is_dir():
        return RunError(f"--model_dir {model_dir}: was removed under the run; the same command starts it anew")
    return RunError(
        f"--model_dir {model_dir}: the run failed there ({text}); the last whole checkpoint is kept, and once there is "
        "room and permission to write, the same command goes on from it"
    )
