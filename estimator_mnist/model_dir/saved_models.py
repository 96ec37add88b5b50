"""SavedModels in a model folder: numbered versions, as TensorFlow Serving looks for them."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import tensorflow as tf

from estimator_mnist.system.paths import copy_tree, is_remote, rmtree

FOLDER = "export"  # in the model_dir: what a trained network leaves in
FINAL, BEST = "final", "best"  # model folders in it
SAVED_MODEL = "saved_model.pb"  # the file that makes a folder a version


def versions(folder: Path) -> Dict[int, Path]:
    """Returns the versions in a model folder by their numbers, increasing, without those still being written."""
    versions_on_disk = {int(path.name): path for path in folder.glob("*") if path.name.isdigit() and path.is_dir()}
    return dict(sorted(versions_on_disk.items()))


def version_of(folder: Path, step: int) -> Optional[Path]:
    """Returns the newest intact version in a model folder that holds the weights of a step, None if there is none."""
    for version in reversed(list(versions(folder).values())):
        try:
            reader = tf.compat.v1.train.NewCheckpointReader(str(version / "variables" / "variables"))
            values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        except Exception:  # of many classes
            continue
        if values.get("global_step") == step and (version / SAVED_MODEL).is_file():
            return version
    return None


def next_version(folder: Path) -> Path:
    """Returns the folder of the next version: named by the time in seconds, and later than all others."""
    return folder / str(max([int(time.time()), *(number + 1 for number in versions(folder))]))


def put_version(source: Path, folder: Path) -> Path:
    """Copies a version to another model folder, where it appears complete or not at all, and returns its path there.

    Remote file systems cannot rename folders atomically. There, the file that completes a version is copied last.
    """
    new, version = folder / f"temp-{source.name}", folder / source.name
    folder.mkdir(parents=True, exist_ok=True)
    if is_remote(folder):
        for other in versions(folder).values():
            if not (other / SAVED_MODEL).is_file():  # left incomplete by a kill
                rmtree(other)
        copy_tree(source, version, last=SAVED_MODEL)
        return version
    shutil.copytree(source, new)
    new.rename(version)
    return version


def export_to(folder: Path, export: Callable[[str], Any]) -> Any:
    """Returns what `export` makes in a model folder. For a remote folder it is made locally and copied."""
    if not is_remote(folder):
        return export(str(folder))
    with tempfile.TemporaryDirectory() as scratch:
        exported = export(scratch)
        return exported and str(put_version(Path(exported.decode()), folder))
