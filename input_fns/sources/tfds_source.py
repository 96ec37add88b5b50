"""Data sets prepared by TensorFlow Datasets (TFDS): finding, downloading, checking and decoding them.

TFDS is imported only where it has work to do. It imports TensorFlow, which would cost every start two seconds.
"""

import json
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from input_fns.errors import InputError, reason
from input_fns.sources import idx_cache, offered, tfds_decoder

PROBE_SECONDS = 3.0
RECORD_OVERHEAD = 16  # bytes of length and checksums around each record of a TFRecord file


def version_folder(dataset: str, data_dir: Path) -> Optional[Path]:
    """Returns the folder of the newest prepared version of a data set, or None if none is prepared."""
    versions = [path.parent for path in (data_dir / dataset).glob("*.*.*/dataset_info.json")]
    return max(versions, key=lambda path: [int(part) for part in path.name.split(".") if part.isdigit()], default=None)


def tfds_name(dataset: str, folder: Path) -> str:
    """Returns the name by which `tfds.load` loads exactly this version."""
    return f"{dataset}:{folder.name}"


def facts_without_decoding(dataset: str, data_dir: Path, folder: Path) -> Dict[str, Any]:
    """Returns {"examples": {"train": n, "test": n}, "class_names", "description"} after checking the files' sizes.

    Raises:
        InputError: Its images have another shape than the offered one, it has no class labels, or a file is cut short.
    """
    _check_sizes(folder)
    return _facts(_builder(tfds_name(dataset, folder), data_dir))


def decoded(dataset: str, data_dir: Path, folder: Path) -> Dict[str, Any]:
    """Returns the facts of a prepared data set and, under "folder", the cache folder of its decoded splits.

    The first call decodes the splits; see `idx_cache`.

    Raises:
        InputError: As `facts_without_decoding`, and if a record is damaged or missing.
    """
    cache = idx_cache.folder_for(f"{dataset.replace('/', '_')}-{folder.name}", beside=folder)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    made_from = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    facts = idx_cache.load(cache, made_from)
    if facts is None:
        info = facts_without_decoding(dataset, data_dir, folder)
        splits = tfds_decoder.decode(tfds_name(dataset, folder), data_dir, folder, info["examples"])
        facts = idx_cache.store(cache, made_from, splits, **info)
    return {**facts, "folder": cache}


def host_answers(dataset: str) -> bool:
    """Tells, within 3 s, whether the host that TFDS would download the data set from answers.

    Asked before a download, because without a network `tfds.load` retries for minutes.

    Raises:
        InputError: TFDS knows no such data set, or its images have another shape than the offered one.
    """
    builder = _builder(dataset, None)
    _facts(builder, prepared=False)
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


def download(dataset: str, data_dir: Path) -> Path:
    """Downloads and prepares a data set and returns its version folder.

    Raises:
        InputError: The download failed.
    """
    builder = _builder(dataset, data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # TFDS documents no set of errors. Whichever it is, the download failed
        raise InputError(f"--dataset {dataset}: TFDS could not prepare it in {data_dir} ({reason(error)})") from error
    folder = version_folder(dataset, data_dir)
    if folder is None:
        raise InputError(f"--dataset {dataset}: TFDS prepared nothing in {data_dir / dataset}")
    return folder


def _builder(name: str, data_dir: Optional[Path]) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir and str(data_dir))
    except Exception as error:  # unknown name, wrong config, unreadable folder: each is of another class
        raise InputError(f"--dataset {name.split(':')[0]}: TFDS cannot open it ({reason(error)})") from error


def _facts(builder: Any, prepared: bool = True) -> Dict[str, Any]:
    features, name = dict(builder.info.features.items()), builder.info.name
    image, label = features.get("image"), features.get("label")
    if image is None or image.shape != offered.IMAGE_SHAPE or image.np_dtype != np.uint8:
        shape = "no image" if image is None else f"{image.np_dtype.__name__} images of shape {image.shape}"
        raise InputError(f"--dataset {name}: has {shape}; needed are uint8 images of shape {offered.IMAGE_SHAPE}")
    names = getattr(label, "names", None)
    if names is None:
        raise InputError(f"--dataset {name}: its label is not a class label")
    examples = {split: builder.info.splits[split].num_examples for split in ("train", "test")} if prepared else {}
    text = " ".join(builder.info.description.split())
    return {"examples": examples, "class_names": list(names), "description": f"{builder.info.full_name}: {text}"}


def _check_sizes(folder: Path) -> None:
    info = json.loads((folder / "dataset_info.json").read_text())
    for split in info.get("splits", []):
        files = sorted(folder.glob(f"*-{split['name']}.tfrecord-*"))
        expected = int(split.get("numBytes", 0)) + RECORD_OVERHEAD * sum(map(int, split["shardLengths"]))
        size = sum(path.stat().st_size for path in files)
        if files and "numBytes" in split and size != expected:
            raise InputError(
                f"{files[0] if len(files) == 1 else folder}: the {split['name']} split has {size:,} bytes where "
                f"dataset_info.json promises {expected:,}; delete {folder} and prepare the data set again"
            )
