"""The checkpoints of a model_dir: which of them are whole, and making the newest whole one the one to go on from.

Estimator restores whatever the file `checkpoint` names, and fails in the middle of a session if that is damaged.
"""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import FILE_NAME as EXPERIMENT_FILE
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.system.paths import is_remote, rmtree
from input_fns import InputError
from input_fns.errors import reason

UNFINISHED = (
    *("model.ckpt-*_temp", "model.ckpt-*.tmp*", "graph.pbtxt.tmp*", "checkpoint.tmp*", "*.json.new-*", "*.npz.new-*"),
    *("report.html.new-*", "plots/*.new-*", "projector_config.pbtxt.new-*", "eval_*/*.new-*"),
    *("events.out.unfinished.*", "eval_*/events.out.unfinished.*"),
    *("best/*.new", "export/new-*", "export/*/temp-*"),
)
KEPT = "best"  # the folder in the model_dir for the checkpoint of the best evaluation
PATTERN = re.compile(r"model\.ckpt-(\d+)\.(?:index|data-00000-of-00001)")


def steps(model_dir: Path) -> List[int]:
    """Returns the steps of all checkpoints of which any file is there, the newest first."""
    found = {int(match[1]) for path in model_dir.glob("model.ckpt-*") if (match := PATTERN.fullmatch(path.name))}
    return sorted(found, reverse=True)


def prefix(model_dir: Path, step: int) -> str:
    return str(model_dir / f"model.ckpt-{step}")


def corruption(path_prefix: str) -> Optional[str]:
    """Returns what is wrong with a checkpoint, None if it is whole.

    Reads every value, and so checks all of TensorFlow's checksums.
    """
    try:
        reader = tf.compat.v1.train.NewCheckpointReader(path_prefix)
        for name in reader.get_variable_to_shape_map():
            value = reader.get_tensor(name)
            if name == "global_step" and not path_prefix.endswith(f"-{value}"):
                return f"it holds step {value}"
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                return f"{name} is not finite"
        return None if reader.has_tensor("global_step") else "it holds no global_step"
    except Exception as error:  # of many classes, IndexError and MemoryError among them, by what is damaged
        return reason(error)


def newest_intact(model_dir: Path) -> Tuple[int, Dict[int, str]]:
    """Finds the newest whole checkpoint, whatever the file `checkpoint` says.

    Returns:
        Its step, 0 where there is none yet, and what is wrong with those passed over, by step.

    Raises:
        InputError: There are checkpoints of trained steps, but none is whole.
    """
    skipped: Dict[int, str] = {}
    for step in steps(model_dir):
        wrong = corruption(prefix(model_dir, step))
        if wrong is None:
            return step, skipped
        skipped[step] = wrong
    newest = max(skipped, default=0)
    if newest:  # step 0 alone is what a run was writing when it was killed: initial weights, which come again
        raise InputError(
            f"--model_dir {model_dir}: none of its {len(skipped)} checkpoints is whole "
            f"(model.ckpt-{newest}: {skipped[newest]}); put a copy in place, or --clean starts over"
        )
    return 0, skipped


def checked(experiment: Experiment, model_dir: Path, checkpoint: Optional[str]) -> str:
    """Returns the path prefix of a checkpoint that is whole and of the experiment's network.

    Args:
        experiment: The experiment of the model_dir.
        model_dir: Where the checkpoints are.
        checkpoint: Path prefix of a checkpoint; None takes the newest whole one.

    Raises:
        InputError: There is no checkpoint, or the one named is damaged or another network's.
    """
    if checkpoint is None:
        step, skipped = newest_intact(model_dir)
        for damaged, wrong in skipped.items():
            print(f"Skipped model.ckpt-{damaged}, which is corrupt: {wrong}", file=sys.stderr)
        if step in skipped or step not in steps(model_dir):
            raise InputError(f"--model_dir {model_dir}: holds no checkpoint yet; train first")
        other = difference(experiment, prefix(model_dir, step))
        if other:  # experiment.json was edited
            raise InputError(f"--model_dir {model_dir}: model.ckpt-{step} is not of its {EXPERIMENT_FILE} ({other})")
        return prefix(model_dir, step)
    unfit = corruption(checkpoint) or difference(experiment, checkpoint)
    if unfit:
        raise InputError(f"--checkpoint {checkpoint}: cannot be used ({unfit}); name another one")
    return checkpoint


def difference(experiment: Experiment, checkpoint: str) -> Optional[str]:
    """Returns in what a checkpoint's network differs from the experiment's, None if in nothing."""
    found = tf.compat.v1.train.NewCheckpointReader(checkpoint).get_variable_to_shape_map()
    for name, shape in create_network(experiment).weight_shapes().items():
        if found.get(name) != list(shape):
            return f"its {name} has the shape {found.get(name)}, the experiment's {list(shape)}"
    return None


def choose(model_dir: Path) -> Tuple[int, Dict[int, str]]:
    """Makes the newest whole checkpoint the one that Estimator will restore; returns and raises as `newest_intact`.

    A damaged checkpoint stays until the run comes to its step again. Deleted is only what a killed process was still
    writing under a name of its own.
    """
    remove_unfinished(model_dir)
    step, skipped = newest_intact(model_dir)
    kept = [f"model.ckpt-{other}" for other in reversed(steps(model_dir)) if other <= step and other not in skipped]
    if kept:
        if is_remote(model_dir):  # TensorFlow makes them relative to it: to Python its name is no absolute one
            kept = [str(model_dir / name) for name in kept]
        # With an absolute folder, names are taken as relative to it, so that the model_dir can be moved.
        tf.compat.v1.train.update_checkpoint_state(str(model_dir.absolute()), kept[-1], all_model_checkpoint_paths=kept)
    else:
        (model_dir / "checkpoint").unlink(missing_ok=True)  # it could only name what is not there
    return step, skipped


def remove_unfinished(model_dir: Path) -> None:
    """Deletes what a killed process was still writing."""
    for path in [path for pattern in UNFINISHED for path in model_dir.glob(pattern)]:
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink()


def keep(model_dir: Path, step: int, anew: Optional[int] = None) -> None:
    """Keeps the checkpoint of a step in the folder KEPT, in place of the one there, if it is there to be kept.

    It costs no room as long as the model_dir holds the checkpoint too: the files are links to the same content.

    Args:
        model_dir: The model_dir.
        step: Of the checkpoint.
        anew: A step that has just been saved: what is kept of it is replaced.
    """
    folder = model_dir / KEPT
    # The data before the index, which makes a checkpoint of it. The third file, .meta, is of no use to Estimator.
    files = [path for path in sorted(model_dir.glob(f"model.ckpt-{step}.*")) if PATTERN.fullmatch(path.name)]
    if not files or (step != anew and step in steps(folder)):
        return
    folder.mkdir(exist_ok=True)
    links = [folder / f"{path.name}.new" for path in files]
    try:
        for path, new in zip(files, links):
            new.unlink(missing_ok=True)
            _link_or_copy(path, new)
    except FileNotFoundError:
        return  # deleted by the chief of the cluster, which is far ahead of this evaluator and keeps the last few only
    for path, new in zip(files, links):
        new.replace(folder / path.name)
    for path in folder.glob("model.ckpt-*"):
        if path.stem != f"model.ckpt-{step}":
            path.unlink(missing_ok=True)  # an evaluator of the cluster may do the same


def _link_or_copy(path: Path, new: Path) -> None:
    if is_remote(path):
        new.write_bytes(path.read_bytes())
        return
    try:
        os.link(path, new)
    except OSError:  # not on every file system
        shutil.copy2(path, new)


def forget_kept_after(model_dir: Path, step: int) -> None:
    """Deletes what is kept of a later step than this one: it will come again."""
    for later in steps(model_dir / KEPT):
        for path in (model_dir / KEPT).glob(f"model.ckpt-{later}.*") if later > step else ():
            path.unlink()


def find(model_dir: Path, step: int) -> Optional[str]:
    """Returns the prefix of a step's whole checkpoint, kept or in the model_dir; None if there is none."""
    prefixes = [prefix(folder, step) for folder in (model_dir / KEPT, model_dir)]
    return next((found for found in prefixes if corruption(found) is None), None)
