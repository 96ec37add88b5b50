"""The checkpoints of a model_dir: which of them are whole, and making the newest whole one the one to go on from.

Estimator restores whatever the file `checkpoint` names, and fails in the middle of a session if that is damaged.
"""

import re
import shutil
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from input_fns import InputError
from input_fns.errors import reason

UNFINISHED = (
    *("model.ckpt-*_temp", "model.ckpt-*.tmp*", "graph.pbtxt.tmp*", "checkpoint.tmp*", "*.json.new-*"),
    *("report.html.new-*", "plots/*.new-*", "projector_config.pbtxt.new-*", "eval_test/*.new-*"),
    *("events.out.unfinished.*", "eval_test/events.out.unfinished.*"),
)
PATTERN = re.compile(r"model\.ckpt-(\d+)\.(?:index|data-00000-of-00001)")


def steps(model_dir: Path) -> List[int]:
    """Returns the steps of all checkpoints of which any file is there, the newest first."""
    found = {int(match[1]) for path in model_dir.glob("model.ckpt-*") if (match := PATTERN.fullmatch(path.name))}
    return sorted(found, reverse=True)


def prefix(model_dir: Path, step: int) -> str:
    return str(model_dir / f"model.ckpt-{step}")


def damage(path_prefix: str) -> Optional[str]:
    """Returns what is wrong with a checkpoint, None if it is whole.

    Reads every value, and so checks all of TensorFlow's checksums.
    """
    try:
        reader = tf.train.load_checkpoint(path_prefix)
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            if name == "global_step" and not path_prefix.endswith(f"-{value}"):
                return f"it holds step {value}"
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                return f"{name} is not finite"
        return None if reader.has_tensor("global_step") else "it holds no global_step"
    except Exception as error:  # of many classes, IndexError and MemoryError among them, by what is damaged
        return reason(error)


def newest_whole(model_dir: Path) -> Tuple[int, Dict[int, str]]:
    """Finds the newest whole checkpoint, whatever the file `checkpoint` says.

    Returns:
        Its step, 0 where there is no checkpoint, and what is wrong with the newer ones, by step.

    Raises:
        InputError: There are checkpoints, but none of them is whole.
    """
    skipped: Dict[int, str] = {}
    for step in steps(model_dir):
        wrong = damage(prefix(model_dir, step))
        if wrong is None:
            return step, skipped
        skipped[step] = wrong
    if skipped:
        newest = max(skipped)
        raise InputError(
            f"--model_dir {model_dir}: none of its {len(skipped)} checkpoints is whole "
            f"(model.ckpt-{newest}: {skipped[newest]}); put a copy in place, or --clean starts over"
        )
    return 0, skipped


def choose(model_dir: Path) -> Tuple[int, Dict[int, str]]:
    """Makes the newest whole checkpoint the one that Estimator will restore; returns and raises as `newest_whole`.

    A damaged checkpoint stays until the run comes to its step again. Deleted is only what a killed process was still
    writing under a name of its own.
    """
    for path in [path for pattern in UNFINISHED for path in model_dir.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    step, skipped = newest_whole(model_dir)
    kept = [f"model.ckpt-{other}" for other in reversed(steps(model_dir)) if other <= step]
    if kept:
        # With an absolute folder, names are taken as relative to it, so that the model_dir can be moved.
        tf.compat.v1.train.update_checkpoint_state(str(model_dir.absolute()), kept[-1], all_model_checkpoint_paths=kept)
    else:
        (model_dir / "checkpoint").unlink(missing_ok=True)  # it could only name what is not there
    return step, skipped
