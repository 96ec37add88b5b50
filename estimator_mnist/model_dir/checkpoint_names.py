"""The checkpoint that a user names by its step, as "best", or by its path. Imports no TensorFlow."""

from pathlib import Path
from typing import Optional

from estimator_mnist.system.paths import path_of
from input_fns import InputError


def prefix_of(named: Optional[str], model_dir: Path) -> Optional[str]:
    """Returns the path prefix of a checkpoint, None if none is named.

    Args:
        named: Its step, "best", or its path.
        model_dir: The folder that a step, or "best", refers to.

    Raises:
        InputError: There is no such checkpoint.
    """
    if named is None:
        return None
    path = named
    if named == "best":
        kept = [str(path) for path in sorted((model_dir / "best").glob("model.ckpt-*.index"))]
        if not kept:
            raise InputError(f"--checkpoint best: {model_dir} has none yet; the first evaluation of a run makes it")
        path = kept[-1]
    prefix = str(model_dir / f"model.ckpt-{path}") if path.isdigit() else str(path_of(path, "--checkpoint"))
    prefix = prefix[: -len(".index")] if prefix.endswith(".index") else prefix
    if not path_of(prefix + ".index", "--checkpoint").is_file():
        raise InputError(f"--checkpoint {path}: there is no {prefix}.index")
    return prefix
