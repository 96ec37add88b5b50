"""Pictures of a run: PNG files in model_dir/plots, some of which TensorBoard and the report show, too.

Figures are created without pyplot: it keeps global state, and its import costs another fifth of a second.
"""

import io
import re
from pathlib import Path
from typing import Any, ContextManager, Dict, List, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from estimator_mnist.evaluation.metrics import Classified, Mistake
from estimator_mnist.evaluation.statistics import Calibration
from estimator_mnist.report.montage import montage
from estimator_mnist.system.paths import replace_file

FOLDER = "plots"
TRAINING, TEST = "#3a7bd5", "#e07a2f"  # colours that are readable on white and on near black
INK = "#010203"  # text and frames. No other element has this colour, so that the report can replace it by its own
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "",  # equal pictures become equal files
    "text.parse_math": False,  # a class name such as "$5" is not a formula
}
GRID: Any = {"color": INK, "alpha": 0.12, "linewidth": 0.6}
CURVE_SIZE = (5.6, 3.4)  # inches
MISTAKE_COLUMNS = 8
MISTAKE_GAP = 12  # pixels of the images, room for two lines of text
FILTERS_WIDTH = 1000  # pixels, at most


def confusion_matrix(matrix: np.ndarray, names: Sequence[str], split: str = "test") -> Figure:
    """Draws a confusion matrix. Only mistakes are coloured: correct predictions would outshine them.

    Args:
        matrix: Examples by label (row) and prediction (column), int64 [classes, classes].
        names: Of the classes.
        split: The evaluated split, "test" or "validation".
    """
    size = 2.2 + 0.45 * len(names)
    figure = Figure(figsize=(size + 0.3, size), layout="constrained")
    axes = figure.subplots()
    mistake_counts = matrix * (1 - np.eye(len(names), dtype=matrix.dtype))
    axes.imshow(mistake_counts, cmap="Oranges", vmin=0, vmax=max(1, int(mistake_counts.max())) * 1.6)
    for row, column in zip(*np.nonzero(matrix)):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8, weight=weight)
    positions = range(len(names))
    long_names = max(map(len, names)) > 3
    axes.set_xticks(positions, names, rotation=45 if long_names else 0, ha="right" if long_names else "center")
    axes.set_yticks(positions, names)
    axes.tick_params(length=0)
    axes.set(title=f"Confusion matrix, {split} split", xlabel="predicted", ylabel="label")
    return figure


def mistakes(classified: Classified, chosen: Sequence[Mistake], names: Sequence[str]) -> Figure:
    """Draws mistakes, each with the predicted class, its probability and the label.

    Args:
        classified: The split.
        chosen: The mistakes to draw; may be empty.
        names: Of the classes.
    """
    columns = MISTAKE_COLUMNS
    rows = max(1, -(-len(chosen) // columns))
    figure = Figure(figsize=(columns * 1.25, rows * 1.25 + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(f"The {len(chosen)} most confident mistakes" if chosen else "No mistakes")
    height, width = classified.images.shape[1:3]
    row_height, column_width = height + MISTAKE_GAP, width + MISTAKE_GAP
    if chosen:
        images = np.stack([classified.images[mistake.position] for mistake in chosen])
        # All images in one axes: one axes per image takes ten times as long.
        axes.imshow(montage(images, columns, MISTAKE_GAP), cmap="gray_r", vmin=0, vmax=255)
        axes.set_ylim(rows * row_height - 1, -1)
    for position, mistake in enumerate(chosen):
        row, column = divmod(position, columns)
        caption = f"{names[mistake.predicted]} {100 * mistake.probability:.1f}%\nlabel {names[mistake.label]}"
        x, y = column * column_width + width / 2, row * row_height + height + 1
        axes.text(x, y, caption, ha="center", va="top", fontsize=7)
    return figure


def reliability(calibration: Calibration) -> Figure:
    """Draws the accuracy in each bin of probability, beside the diagonal of perfect calibration."""
    figure = Figure(figsize=CURVE_SIZE, layout="constrained")
    axes = figure.subplots()
    bins = [confidence_bin for confidence_bin in calibration.bins if confidence_bin.examples]
    centers = [(confidence_bin.low + confidence_bin.high) / 2 for confidence_bin in bins]
    accuracies = [confidence_bin.accuracy for confidence_bin in bins]
    confidences = [confidence_bin.confidence for confidence_bin in bins]
    width = 0.92 / len(calibration.bins)
    axes.bar(centers, accuracies, width, color=TRAINING, alpha=0.75, label="accuracy")
    axes.plot(confidences, accuracies, "o", color=TEST, markersize=4)
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, alpha=0.6, label="perfect calibration")
    for center, confidence_bin in zip(centers, bins):
        axes.text(center, confidence_bin.accuracy + 0.02, f"{confidence_bin.examples:,}", ha="center", fontsize=6)
    axes.set(title="Reliability", xlabel="probability of the predicted class", ylabel="accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.08))
    axes.legend(loc="upper left")
    return figure


def filters(weights: np.ndarray) -> Image.Image:
    """Returns filters as one picture. Negative weights are blue, zeros white, positive weights red.

    Args:
        weights: float32 [height, width, n].
    """
    height, width, count = weights.shape
    largest = float(np.abs(weights).max()) or 1.0
    columns = max(1, round((count * height / width) ** 0.5 * 1.4))
    scale = max(1, FILTERS_WIDTH // (columns * width))
    normalized = np.moveaxis(weights, 2, 0) / largest  # in [-1, 1]
    colours = matplotlib.colormaps["RdBu_r"]((normalized + 1) / 2, bytes=True)[..., :3]
    enlarged = colours.repeat(scale, axis=1).repeat(scale, axis=2)
    gap = max(2, scale * width // 14)
    channels = [montage(enlarged[..., channel], columns, gap, fill=255) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1))


def style() -> ContextManager[None]:
    """Returns the context in which to create figures and to convert them to files."""
    return matplotlib.rc_context(STYLE)


def png(picture: "Figure | Image.Image") -> bytes:
    """Returns a picture as the content of a PNG file."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=120)
        picture.set_layout_engine("none")  # the layout is done; `svg` would repeat it, which takes as long as drawing
    else:
        picture.save(buffer, format="png")
    return buffer.getvalue()


def svg(figure: Figure, prefix: str) -> str:
    """Returns a figure as an SVG element for a page.

    Args:
        figure: The figure. Its INK becomes the page's text colour.
        prefix: Put before all ids, which must be unique on the page.
    """
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    text = buffer.getvalue().replace(INK, "currentColor")
    text = re.sub(r'( id="|url\(#|href="#)', rf"\1{prefix}-", text)
    return text[text.index("<svg") :]


def write(pictures: Dict[str, bytes], model_dir: Path) -> List[Path]:
    """Writes pictures to model_dir/plots, each atomically, and returns their paths.

    Args:
        pictures: {name: content of a PNG file}.
        model_dir: The run's folder.
    """
    folder = model_dir / FOLDER
    folder.mkdir(exist_ok=True)
    paths = []
    for name, content in pictures.items():
        paths.append(folder / f"{name}.png")
        replace_file(paths[-1], content)
    return paths
