"""The last hidden layer for the evaluated split, in TensorBoard's projector: each image where the network sees it."""

import io
from pathlib import Path
from typing import Sequence

import numpy as np
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector import projector_config_pb2

from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.model_dir.event_files import folder_of
from estimator_mnist.report.montage import montage
from estimator_mnist.system.paths import is_remote, replace_file, rmtree

CONFIG = "projector_config.pbtxt"  # where the projector looks for it, in the folder of a run
FOLDER = "projector"
EXAMPLES = 10_000  # at most: more would be slow in a browser
SPRITE_COLUMNS = 100


def write(classified: Classified, names: Sequence[str], model_dir: Path) -> None:
    """Writes what the projector shows: the configuration to model_dir, what it names to a folder there.

    Args:
        classified: The evaluated split.
        names: Of the classes.
        model_dir: Where TensorBoard looks.
    """
    folder = model_dir / FOLDER
    # In both folders that TensorBoard takes for a run: it opens the projector on any of them, and shows the weights of
    # the checkpoint where it finds nothing else.
    configs = {model_dir / CONFIG: FOLDER}
    if not is_remote(model_dir):  # an object store has no ".."; it finds no checkpoint there, either
        configs[model_dir / folder_of(classified.split) / CONFIG] = f"../{FOLDER}"
    for path in configs:
        path.unlink(missing_ok=True)  # written last, when all that it names is there
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    hidden = np.ascontiguousarray(classified.hidden[:EXAMPLES], "<f4")
    # As bytes it is smaller, and read sooner; but TensorBoard reads bytes from local files only.
    tensor = "hidden.tsv" if is_remote(model_dir) else "hidden.bytes"
    (folder / tensor).write_bytes(_text(hidden) if is_remote(model_dir) else hidden.tobytes())
    # Fast rather than small: the best compression takes twice as long for a tenth less.
    sprite = io.BytesIO()
    Image.fromarray(255 - montage(classified.images[:EXAMPLES], SPRITE_COLUMNS)).save(sprite, "PNG", compress_level=1)
    (folder / "sprite.png").write_bytes(sprite.getvalue())
    (folder / "labels.tsv").write_text(_labels(classified, [" ".join(name.split()) for name in names]))

    for path, where in configs.items():
        config = projector_config_pb2.ProjectorConfig()
        embedding = config.embeddings.add(
            tensor_name=f"last hidden layer, {classified.split} split",
            tensor_path=f"{where}/{tensor}",
            tensor_shape=hidden.shape,
            metadata_path=f"{where}/labels.tsv",
        )
        embedding.sprite.image_path = f"{where}/sprite.png"
        height, width = classified.images.shape[1:3]
        embedding.sprite.single_image_dim.extend([width, height])
        path.parent.mkdir(exist_ok=True)
        replace_file(path, text_format.MessageToString(config))


def _text(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savetxt(buffer, values, "%.6g", delimiter="\t")
    return buffer.getvalue()


def _labels(classified: Classified, names: Sequence[str]) -> str:
    lines = ["label\tpredicted\tmistake\tprobability\tindex"]
    shown = zip(classified.labels[:EXAMPLES], classified.predicted, classified.probabilities)
    for index, (label, predicted, probabilities) in enumerate(shown):
        mistake = "yes" if label != predicted else "no"
        lines.append(f"{names[label]}\t{names[predicted]}\t{mistake}\t{probabilities[predicted]:.4f}\t{index}")
    return "\n".join(lines) + "\n"
