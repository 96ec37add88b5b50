"""Data for the Python API: a name, a folder, a file or arrays become what a run is trained and evaluated on."""

import dataclasses
import operator
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import input_fns
from estimator_mnist.api import turns
from estimator_mnist.system import terminal
from estimator_mnist.system.tensorflow_setup import quiet_tensorflow
from input_fns import Data, InputError, Request

Arrays = Tuple[Any, Any]  # images, uint8 [n, height, width] or [n, height, width, 1 or 3], and labels, integers [n]
Source = Union[str, "os.PathLike[str]", Arrays, Data]
REQUESTED = tuple(field.name for field in dataclasses.fields(Request))
# A plain word is a data set of TFDS, unless a folder of this name is there. These always are.
NAMES_OF_TFDS = ("mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn_cropped")


@dataclass(frozen=True)
class FoundData(Data):
    """Data, and what was asked for: a run keeps that, so that a later process finds the data, too."""

    request: Request


def data(
    source: Source,
    *,
    test: Optional[Union[str, "os.PathLike[str]", Arrays]] = None,
    class_names: Optional[Sequence[str]] = None,
    validation_size: int = 0,
    image_size: Optional[Union[int, str, Tuple[int, int]]] = None,
    verbose: bool = True,
) -> Data:
    """Finds a data set, checks it, and decodes it once.

    Args:
        source: "sample", a TFDS name, a folder of images or of IDX files, an .npz file, or arrays (x, y).
        test: The test split, of the same kind: (x, y) with arrays; with the folder DIR/train the folder DIR/test. None:
            the data set's own, or else a fifth of the examples.
        class_names: By label, for arrays and IDX files, which have none.
        validation_size: Evaluate on this many examples from the end of the training split in place of the test split.
        image_size: Resize the images to it: H, "HxW" or (H, W), in pixels. None: they must be of one size.
        verbose: Print a line where there is something to know, such as a download.

    Returns:
        The data, with `train.examples`, `test.examples`, `class_names` and `image_shape`.

    Raises:
        InputError: There is no such data, or it is damaged or cannot be trained on.
    """
    changes: Dict[str, Any] = {"image_size": _size(image_size)}
    if class_names is not None:
        changes["class_names"] = tuple(map(str, class_names))
    request = dataclasses.replace(_request(source, test), **changes)
    if request.class_names and request.source not in ("arrays", "idx"):
        raise InputError("class_names: only arrays and IDX files take them; folders and TFDS have names of their own")
    if _are_arrays(source):
        request = _with_arrays(request, source, test)
    return _find(dataclasses.replace(request, validation_size=_count(validation_size)), verbose)


def for_training(source: Source, settings: Mapping[str, Any], verbose: bool) -> FoundData:
    """Returns the data of a run. Settings that choose data change what the source asks for.

    Raises:
        InputError: As `data`.
    """
    changes = {name: settings[name] for name in REQUESTED if name in settings}
    changes["stream"] = settings.get("input") == "stream"
    found = data(source, verbose=verbose) if _are_arrays(source) else source
    if not isinstance(found, Data):
        return _find(dataclasses.replace(_request(found), **changes), verbose)
    if not isinstance(found, FoundData):
        raise InputError("data: comes from input_fns.find; make it with estimator_mnist.data, which keeps its origin")
    request = dataclasses.replace(found.request, **changes)
    return found if request == found.request else _find(request, verbose)


def settings_of(found: FoundData) -> Dict[str, Any]:
    """Returns the fields of Experiment that say where data was found."""
    names = ("data_dir", "idx_dir", "image_dir", "image_size", "arrays", "test_fraction", "validation_size")
    return {name: getattr(found.request, name) for name in names}


def _find(request: Request, verbose: bool) -> FoundData:
    quiet_tensorflow()  # TFDS imports it
    found = input_fns.find(request, terminal.say if verbose else turns.silence)
    return FoundData(**{field.name: getattr(found, field.name) for field in dataclasses.fields(Data)}, request=request)


def _request(source: Any, test: Any = None) -> Request:
    """Returns the request for a source, without the arrays of one that is arrays."""
    if _are_arrays(source):
        return Request("arrays", "arrays")
    if not isinstance(source, (str, os.PathLike)):
        kind = type(source).__name__
        raise InputError(f"data: is of type {kind}; it must be a name, a folder, an .npz file or arrays (x, y)")
    text = os.fspath(source)
    if not text:
        raise InputError("data: is an empty text; it must be a name, a folder, an .npz file or arrays (x, y)")
    path = Path(text).expanduser()
    if isinstance(source, str) and text == "sample":
        request = Request("mnist", "sample")
    elif path.suffix == ".npz":
        request = Request(source="arrays", arrays=os.path.abspath(path))
    elif isinstance(source, os.PathLike) or (path.is_dir() and text not in NAMES_OF_TFDS):
        return _of_folder(path, test)
    else:
        request = Request(text)
    if test is not None:
        raise InputError(f"test: given with {text}, which has its test split itself; leave it out")
    return request


def _of_folder(folder: Path, test: Any) -> Request:
    if any(folder.glob("*-idx3-ubyte*")) or any(folder.glob("*.idx3-ubyte*")):
        if test is not None:
            raise InputError(f"test: given with {folder}, whose IDX files have a test split; leave it out")
        return Request(source="idx", idx_dir=os.path.abspath(folder))
    if test is not None:
        folder, test_folder = Path(os.path.abspath(folder)), Path(os.path.abspath(Path(_text(test)).expanduser()))
        if (folder.name, test_folder.name) != ("train", "test") or folder.parent != test_folder.parent:
            raise InputError(f"test: {test_folder} must be DIR/test where the training images are in DIR/train")
        folder = folder.parent
    return Request(source="folder", image_dir=os.path.abspath(folder))


def _text(test: Any) -> str:
    if not isinstance(test, (str, os.PathLike)):
        raise InputError(f"test: is of type {type(test).__name__}; with a folder it must be a folder, too")
    return os.fspath(test)


def _are_arrays(source: Any) -> bool:
    return isinstance(source, (tuple, list))


def _with_arrays(request: Request, source: Any, test: Any) -> Request:
    """Returns a request for arrays in memory, which it puts into the cache."""
    from input_fns.sources import arrays

    if test is None and len(source) == 2 and all(isinstance(part, (tuple, list)) and len(part) == 2 for part in source):
        source, test = source  # what Keras's load_data returns
    if test is not None and not _are_arrays(test):
        raise InputError(f"test: is of type {type(test).__name__}; with arrays it must be arrays (x, y), too")
    facts = arrays.from_memory(source, test, request.class_names, request.test_fraction, request.size)
    return dataclasses.replace(request, arrays=str(facts.folder), class_names=facts.class_names)


def _count(size: Any) -> int:
    try:
        return operator.index(size)
    except TypeError as error:
        raise InputError(f"validation_size: is {size!r}; it must be a whole number") from error


def _size(size: Any) -> Optional[str]:
    """Returns an image size as text, "H" or "HxW"."""
    if isinstance(size, (tuple, list)):
        return "x".join(map(str, size))
    return None if size is None else str(size)
