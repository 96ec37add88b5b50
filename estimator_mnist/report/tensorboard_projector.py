"""TensorBoard's projector: the images of the evaluated split, placed by the last hidden layer's outputs."""

import io
import math
from pathlib import Path
from typing import Dict, Sequence, Tuple

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import projector_config_pb2

from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.model_dir.event_files import folder_of
from estimator_mnist.report.montage import as_shown, in_squares, montage
from estimator_mnist.system.paths import is_remote, replace_file, rmtree

CONFIG = "projector_config.pbtxt"  # the name that the projector looks for in a run's folder
FOLDER = "projector"
MAX_EXAMPLES = 10_000  # more would be slow in a browser
SPRITE_SIDE = 32  # pixels of an image's longer side: 10,000 images then fit the largest texture, 8192 x 8192

_File = Tuple[str, Sequence[int]]  # its name, and the shape of the tensor, or the height and width of an image in it


def write(classified: Classified, names: Sequence[str], model_dir: Path) -> None:
    """Writes the projector's data to model_dir/projector, then the configuration that refers to it.

    Args:
        classified: The evaluated split.
        names: Of the classes.
        model_dir: The run's folder, in which TensorBoard looks.
    """
    folder = model_dir / FOLDER
    configs = _configs(classified.split, model_dir)
    for path in configs:
        path.unlink(missing_ok=True)  # written last, once all that it refers to exists
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    hidden = np.ascontiguousarray(classified.hidden[:MAX_EXAMPLES], "<f4")
    # Bytes are smaller and faster to read, but TensorBoard reads bytes from local files only.
    tensor = "hidden.tsv" if is_remote(model_dir) else "hidden.bytes"
    (folder / tensor).write_bytes(_tsv(hidden) if is_remote(model_dir) else hidden.tobytes())
    # Squares, because the projector stretches every image to one.
    sprites = in_squares(as_shown(classified.images[:MAX_EXAMPLES], classified.light_on_dark), 1, SPRITE_SIDE)
    sprite = "sprite.png" if sprites.ndim == 3 else "sprite.jpg"
    (folder / sprite).write_bytes(_sprite(sprites))
    labels = _labels(classified, [" ".join(name.split()) for name in names])
    (folder / "labels.tsv").write_bytes(labels.encode())
    for path, location in configs.items():
        path.parent.mkdir(exist_ok=True)
        config = _config(location, classified.split, (tensor, hidden.shape), (sprite, sprites.shape[1:3]))
        replace_file(path, text_format.MessageToString(config))


def _configs(split: str, model_dir: Path) -> Dict[Path, str]:
    """Returns {path of a configuration: location of the data relative to it}.

    Both folders that TensorBoard takes for a run get one. The projector can be opened on either, and without a
    configuration it shows the weights of the checkpoint.
    """
    configs = {model_dir / CONFIG: FOLDER}
    if not is_remote(model_dir):  # an object store has no ".."; TensorBoard finds no checkpoint there, either
        configs[model_dir / folder_of(split) / CONFIG] = f"../{FOLDER}"
    return configs


def _config(location: str, split: str, tensor: _File, sprite: _File) -> projector_config_pb2.ProjectorConfig:
    (tensor_name, tensor_shape), (sprite_name, (height, width)) = tensor, sprite
    config = projector_config_pb2.ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name=f"last hidden layer, {split} split",
        tensor_path=f"{location}/{tensor_name}",
        tensor_shape=tensor_shape,
        metadata_path=f"{location}/labels.tsv",
    )
    embedding.sprite.image_path = f"{location}/{sprite_name}"
    embedding.sprite.single_image_dim.extend([width, height])
    return config


def _sprite(images: np.ndarray) -> bytes:
    """Returns all images as one file: grey ones as PNG, colour ones, which compress badly, as JPEG.

    The images are in as many rows as columns. The projector finds an image's row by the number of rows, where the
    number of columns would be right. So it shows other pictures in any other arrangement.
    """
    columns = math.isqrt(len(images) - 1) + 1  # the square root, rounded up
    missing = np.full((columns**2 - len(images), *images.shape[1:]), 255, np.uint8)
    sprite = Image.fromarray(montage(np.concatenate([images, missing]), columns))
    buffer = io.BytesIO()
    if images.ndim == 3:
        # Compressed fast rather than well: the best compression takes twice as long and saves a tenth.
        sprite.save(buffer, "PNG", compress_level=1)
    else:
        sprite.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _tsv(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savetxt(buffer, values, "%.6g", delimiter="\t")
    return buffer.getvalue()


def _labels(classified: Classified, names: Sequence[str]) -> str:
    lines = ["label\tpredicted\tmistake\tprobability\tindex"]
    examples = zip(classified.labels[:MAX_EXAMPLES], classified.predicted, classified.probabilities)
    for index, (label, predicted, probabilities) in enumerate(examples):
        mistake = "yes" if label != predicted else "no"
        lines.append(f"{names[label]}\t{names[predicted]}\t{mistake}\t{probabilities[predicted]:.4f}\t{index}")
    return "\n".join(lines) + "\n"
