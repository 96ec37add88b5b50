"""Data sets prepared by TensorFlow Datasets (TFDS): finding, downloading, checking and decoding them.

TFDS is imported only where it has work to do. It imports TensorFlow, which would cost every start two seconds.
"""

import dataclasses
import json
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from input_fns.errors import InputError, reason
from input_fns.sources import array_cache, tfds_decoder, tfds_records
from input_fns.sources.array_cache import Facts, Writer
from input_fns.sources.request import Request

PROBE_SECONDS = 3.0
RECORD_OVERHEAD = 16  # bytes of length and checksums around each record of a TFRecord file


@dataclasses.dataclass(frozen=True)
class Streamed:
    """What is known of a data set that is streamed from its records."""

    examples: Dict[str, int]
    image_shape: Tuple[int, int, int]
    class_names: Tuple[str, ...]
    description: str
    preparation: str


@dataclasses.dataclass(frozen=True)
class _Info:
    """What TFDS says of a data set."""

    keys: Tuple[str, str]  # of the features with the image and the label
    shape: Tuple[Optional[int], Optional[int], int]  # None: the images have several heights or widths
    class_names: Tuple[str, ...]
    examples: Dict[str, int]  # of "train", and of "test" if there is one
    description: str


def version_folder(dataset: str, data_dir: Path) -> Optional[Path]:
    """Returns the folder of the newest prepared version of a data set, or None if none is prepared."""
    name, _, version = dataset.partition(":")
    versions = [path.parent for path in (data_dir / name).glob(f"{version or '*.*.*'}/dataset_info.json")]
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".") if part.isdigit()], default=None)


def tfds_name(dataset: str, folder: Path) -> str:
    """Returns the name by which `tfds.load` loads exactly this version."""
    return f"{dataset.partition(':')[0]}:{folder.name}"


def keys(info: Any) -> Tuple[str, str]:
    """Returns the names of the features that hold the image and the label, of a `tfds.core.DatasetInfo`."""
    supervised = info.supervised_keys
    if {"image", "label"} <= set(info.features) or not supervised:
        return "image", "label"
    return supervised[0], supervised[1]


def streamed(request: Request, folder: Path) -> Optional[Streamed]:
    """Returns what is known of a prepared data set that can be streamed as it is, after checking the files' sizes.

    None means that the images must be decoded first: they are to be resized, a test split is to be cut, or the records
    are of another format than TFRecord files of pictures.

    Raises:
        InputError: As `decoded`, except for what only the records show.
    """
    _check_sizes(folder)
    info = _info(_builder(tfds_name(request.name, folder), request.tfds_dir), request)
    if "test" not in info.examples or None in info.shape or request.size not in (None, info.shape[:2]):
        return None
    preparation = tfds_records.preparation(folder, info.keys[0])
    if preparation is None:
        return None
    height, width, channels = info.shape
    shape = (height or 0, width or 0, channels)
    return Streamed(info.examples, shape, info.class_names, info.description, preparation)


def decoded(request: Request, folder: Path) -> Facts:
    """Returns the facts of a prepared data set; the first call decodes it and writes its cache.

    Raises:
        InputError: Its images have several sizes or another type than uint8, it has no class labels, or a file is
            damaged or cut short.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    made_from: List[Any] = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    has_test = any(split["name"] == "test" for split in _stored_info(folder).get("splits", []))
    fraction = None if has_test else request.test_fraction
    variant = [request.size, fraction] if request.size or fraction else None
    cache = array_cache.folder_for(f"{request.name}-{folder.name}", folder, variant)
    return array_cache.open_or_make(cache, made_from, lambda writer: _decode(request, folder, writer))


def host_answers(request: Request) -> bool:
    """Tells, within 3 s, whether the host that TFDS would download the data set from answers.

    Asked before a download, because without a network `tfds.load` retries for minutes.

    Raises:
        InputError: TFDS knows no such data set, or it is none of images and classes as `decoded` takes them.
    """
    builder = _builder(request.name, None)
    _info(builder, request, prepared=False)
    urls = list(builder.url_infos)
    answers: List[bool] = []

    def ask() -> None:
        import requests  # as TFDS does, so that the same proxy applies

        try:
            requests.head(urls[0], timeout=PROBE_SECONDS, allow_redirects=False)
            answers.append(True)
        except requests.RequestException:
            pass

    # In a thread, because the timeout of `requests` does not cover the DNS look-up.
    thread = threading.Thread(target=ask, daemon=True)
    if urls:
        thread.start()
        thread.join(PROBE_SECONDS)
    return bool(answers)


def prepared_by_default(request: Request) -> Optional[Path]:
    """Returns the version folder of the config that TFDS takes where the name has none, or None if not prepared.

    Raises:
        InputError: TFDS knows no such data set.
    """
    folder = Path(_builder(request.name, request.tfds_dir).data_path)
    return folder if (folder / "dataset_info.json").is_file() else None


def download(request: Request) -> Path:
    """Downloads and prepares a data set and returns its version folder.

    Raises:
        InputError: The download failed.
    """
    builder = _builder(request.name, request.tfds_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS documents no set of errors. Whichever it is, the download failed
        where = request.tfds_dir
        raise InputError(f"--dataset {request.name}: TFDS could not prepare it in {where} ({reason(error)})") from error
    return Path(builder.data_path)


def _decode(request: Request, folder: Path, writer: Writer) -> Tuple[Sequence[str], str]:
    _check_sizes(folder)
    name = tfds_name(request.name, folder)
    info = _info(_builder(name, request.tfds_dir), request)
    height, width, channels = info.shape
    job = tfds_decoder.Job(
        name=name,
        data_dir=str(request.tfds_dir),
        folder=str(folder),
        keys=info.keys,
        examples=info.examples,
        classes=len(info.class_names),
        size=request.size or (height or 0, width or 0),
        channels=channels,
        alike=bool(height and width),
        test_fraction=request.test_fraction,
    )
    tfds_decoder.decode(job, writer)
    return info.class_names, info.description


def _builder(name: str, data_dir: Optional[Path]) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir and str(data_dir))
    except Exception as error:  # unknown name, wrong config, unreadable folder: each is of another class
        raise InputError(f"--dataset {name.split(':')[0]}: TFDS cannot open it ({reason(error)})") from error


def _info(builder: Any, request: Request, prepared: bool = True) -> _Info:
    info, flag = builder.info, f"--dataset {builder.info.name}"
    features, (image_key, label_key) = dict(info.features.items()), keys(info)
    image, label = features.get(image_key), features.get(label_key)
    shape = getattr(image, "shape", None)
    if image is None or not isinstance(shape, tuple) or len(shape) < 2:
        raise InputError(f"{flag}: has no image")
    if len(shape) != 3 or shape[2] not in (1, 3) or image.np_dtype != np.uint8:
        kind = f"{np.dtype(image.np_dtype)} images of shape {shape}"
        raise InputError(f"{flag}: has {kind}; needed are uint8 images of shape (height, width, 1 or 3)")
    names = getattr(label, "names", None)
    if not names:
        raise InputError(f"{flag}: has no class label" if label is None else f"{flag}: its label is not a class label")
    if None in shape and request.size is None:
        raise InputError(f"{flag}: its images have several sizes; give the one to resize them to with --image_size")
    examples = {split: info.splits[split].num_examples for split in ("train", "test") if split in info.splits}
    if prepared and not examples.get("train"):
        raise InputError(f"{flag}: has no training split; it has {', '.join(info.splits) or 'none'}")
    text = " ".join(str(info.description or "").split())
    return _Info((image_key, label_key), shape, tuple(names), examples, f"{info.full_name}: {text}")


def _check_sizes(folder: Path) -> None:
    for split in _stored_info(folder).get("splits", []):
        files = sorted(folder.glob(f"*-{split['name']}.tfrecord-*"))
        expected = int(split.get("numBytes", 0)) + RECORD_OVERHEAD * sum(map(int, split["shardLengths"]))
        size = sum(path.stat().st_size for path in files)
        if files and "numBytes" in split and size != expected:
            raise InputError(
                f"{files[0] if len(files) == 1 else folder}: the {split['name']} split has {size:,} bytes where "
                f"dataset_info.json promises {expected:,}; delete {folder} and prepare the data set again"
            )


def _stored_info(folder: Path) -> Any:
    return json.loads((folder / "dataset_info.json").read_text("utf-8"))
