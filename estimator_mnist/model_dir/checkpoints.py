"""The checkpoints of a model_dir: which of them are intact, and which one the run resumes from.

Estimator restores whatever the file `checkpoint` names, and fails in the middle of a session if that is corrupt.
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
NOT_OF_NETWORK = ("global_step", "epoch_loss")  # variables of a run; the second is model.training_progress.EPOCH_LOSS
KEPT = "best"  # the folder in the model_dir for the checkpoint of the best evaluation
PATTERN = re.compile(r"model\.ckpt-(\d+)\.(?:index|data-00000-of-00001)")


def steps(model_dir: Path) -> List[int]:
    """Returns the steps of all checkpoints that have any file, the newest first."""
    steps_on_disk = {
        int(match[1]) for path in model_dir.glob("model.ckpt-*") if (match := PATTERN.fullmatch(path.name))
    }
    return sorted(steps_on_disk, reverse=True)


def prefix(model_dir: Path, step: int) -> str:
    return str(model_dir / f"model.ckpt-{step}")


def corruption(path_prefix: str) -> Optional[str]:
    """Returns what is wrong with a checkpoint, None if it is intact.

    It reads every value, which checks all of TensorFlow's checksums.
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
    except Exception as error:  # of many classes, among them IndexError and MemoryError
        return reason(error)


def newest_intact(model_dir: Path) -> Tuple[int, Dict[int, str]]:
    """Finds the newest intact checkpoint, whatever the file `checkpoint` says.

    Returns:
        Its step, 0 where there is none yet, and what is wrong with each newer one, by step.

    Raises:
        InputError: There are checkpoints of trained steps, and none is intact.
    """
    skipped: Dict[int, str] = {}
    for step in steps(model_dir):
        reason_corrupt = corruption(prefix(model_dir, step))
        if reason_corrupt is None:
            return step, skipped
        skipped[step] = reason_corrupt
    newest = max(skipped, default=0)
    if newest:  # a corrupt step 0 alone was cut off by a kill: it holds initial weights, which can be made again
        raise InputError(
            f"--model_dir {model_dir}: none of its {len(skipped)} checkpoints is intact "
            f"(model.ckpt-{newest}: {skipped[newest]}); restore a copy, or start over with --clean"
        )
    return 0, skipped


def checked(experiment: Experiment, model_dir: Path, checkpoint: Optional[str]) -> str:
    """Returns the path prefix of a checkpoint that is intact and holds the experiment's network.

    Args:
        experiment: The experiment of the model_dir.
        model_dir: Where the checkpoints are.
        checkpoint: Path prefix of a checkpoint; None uses the newest intact one.

    Raises:
        InputError: There is no checkpoint, or the named one is corrupt or another network's.
    """
    if checkpoint is None:
        step, skipped = newest_intact(model_dir)
        for corrupt, why in skipped.items():
            print(f"Skipped model.ckpt-{corrupt}, which is corrupt: {why}", file=sys.stderr)
        if step in skipped or step not in steps(model_dir):
            raise InputError(f"--model_dir {model_dir}: holds no checkpoint yet; train it first")
        other = difference(experiment, prefix(model_dir, step))
        if other:  # experiment.json was edited
            raise InputError(f"--model_dir {model_dir}: model.ckpt-{step} is not of its {EXPERIMENT_FILE} ({other})")
        return prefix(model_dir, step)
    unfit = corruption(checkpoint) or difference(experiment, checkpoint)
    if unfit:
        raise InputError(f"--checkpoint {checkpoint}: cannot be used ({unfit}); name another one")
    return checkpoint


def difference(experiment: Experiment, checkpoint: str) -> Optional[str]:
    """Returns how a checkpoint's network differs from the experiment's, in names or shapes, None if it does not."""
    shapes = tf.compat.v1.train.NewCheckpointReader(checkpoint).get_variable_to_shape_map()
    weights = create_network(experiment).weight_shapes()
    for name, shape in weights.items():
        if name not in shapes:
            return f"it holds no {name}"
        if shapes[name] != list(shape):
            return f"its {name} has the shape {shapes[name]}, the experiment's {list(shape)}"
    of_weights = tuple(f"{weight}/" for weight in weights)  # slots and averages
    for name in sorted(set(shapes) - set(weights) - set(NOT_OF_NETWORK)):
        if not name.startswith(of_weights):
            return f"it holds {name}, which the experiment's network does not have"
    return None


def choose(model_dir: Path) -> Tuple[int, Dict[int, str]]:
    """Makes the newest intact checkpoint the one that Estimator will restore; returns and raises as `newest_intact`.

    A corrupt checkpoint stays until the run reaches its step again. Only temporary files of a killed process are
    deleted.
    """
    remove_unfinished(model_dir)
    step, skipped = newest_intact(model_dir)
    kept = [f"model.ckpt-{other}" for other in reversed(steps(model_dir)) if other <= step and other not in skipped]
    if kept:
        if is_remote(
            model_dir
        ):  # its name is not absolute to Python, so that TensorFlow would make these relative to it
            kept = [str(model_dir / name) for name in kept]
        # With an absolute folder, TensorFlow takes the names as relative to it, so that the model_dir can be moved.
        tf.compat.v1.train.update_checkpoint_state(str(model_dir.absolute()), kept[-1], all_model_checkpoint_paths=kept)
    else:
        (model_dir / "checkpoint").unlink(missing_ok=True)  # it could only name a missing checkpoint
    return step, skipped


def remove_unfinished(model_dir: Path) -> None:
    """Deletes the temporary files of a killed process."""
    for path in [path for pattern in UNFINISHED for path in model_dir.glob(pattern)]:
        if path.is_dir():
            rmtree(path)
        else:
            path.unlink()


def keep(model_dir: Path, step: int, just_saved: Optional[int] = None) -> None:
    """Keeps the checkpoint of a step in the folder KEPT, and removes the one that was kept before.

    Does nothing if the checkpoint is gone. The copy takes no space while the model_dir holds the checkpoint, too: the
    files are hard links.

    Args:
        model_dir: The model_dir.
        step: Of the checkpoint.
        just_saved: A step that has just been saved. If it is kept already, it is replaced.
    """
    folder = model_dir / KEPT
    # The data before the index, which completes a checkpoint. Estimator does not need the third file, .meta.
    files = [path for path in sorted(model_dir.glob(f"model.ckpt-{step}.*")) if PATTERN.fullmatch(path.name)]
    if not files or (step != just_saved and step in steps(folder)):
        return
    folder.mkdir(exist_ok=True)
    links = [folder / f"{path.name}.new" for path in files]
    try:
        for path, new in zip(files, links):
            new.unlink(missing_ok=True)
            _link_or_copy(path, new)
    except FileNotFoundError:
        return  # the chief is far ahead of this evaluator, and has deleted it: it keeps only the last few
    for path, new in zip(files, links):
        new.replace(folder / path.name)
    for path in folder.glob("model.ckpt-*"):
        if path.stem != f"model.ckpt-{step}":
            path.unlink(missing_ok=True)  # an evaluator of the cluster may delete it, too


def _link_or_copy(path: Path, new: Path) -> None:
    if is_remote(path):
        new.write_bytes(path.read_bytes())
        return
    try:
        os.link(path, new)
    except OSError:  # some file systems have no hard links
        shutil.copy2(path, new)


def forget_kept_after(model_dir: Path, step: int) -> None:
    """Deletes what is kept of later steps than this one: the run will reach them again."""
    for later in steps(model_dir / KEPT):
        for path in (model_dir / KEPT).glob(f"model.ckpt-{later}.*") if later > step else ():
            path.unlink()


def find(model_dir: Path, step: int) -> Optional[str]:
    """Returns the prefix of a step's intact checkpoint, kept or in the model_dir; None if there is none."""
    prefixes = [prefix(folder, step) for folder in (model_dir / KEPT, model_dir)]
    return next((path for path in prefixes if corruption(path) is None), None)
