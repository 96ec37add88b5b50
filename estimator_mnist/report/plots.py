"""Pictures of a run: PNG files in model_dir/plots, some of which TensorBoard and the report show, too.

Figures are created without pyplot: it keeps global state, and its import costs another fifth of a second.
"""

import io
import re
from pathlib import Path
from typing import Any, ContextManager, Dict, List, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from estimator_mnist.evaluation.metrics import MANY_CLASSES, Classified, Mistake
from estimator_mnist.evaluation.statistics import Calibration
from estimator_mnist.report import class_labels
from estimator_mnist.report.montage import as_shown, in_squares, montage, shrunk
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
MISTAKE_SIDES = (28, 112)  # smallest and largest side of an image, in pixels
MISTAKE_GAP = 12 / 28  # of the side, room for two lines of text
MANY_CLASSES_SIZE = 10.0  # inches
MOST_NAMES = 60  # along an axis
FILTERS_WIDTH = 1000  # pixels to which small filters are enlarged; large ones take up to twice as many
MOST_FILTERS = 512


def confusion_matrix(matrix: np.ndarray, names: Sequence[str], split: str = "test") -> Figure:
    """Draws a confusion matrix. Only mistakes are coloured: correct predictions would outshine them.

    The matrix of many classes has a colour scale in place of numbers, and not every class is named.

    Args:
        matrix: Examples by label (row) and prediction (column), int64 [classes, classes].
        names: Of the classes.
        split: The evaluated split, "test" or "validation".
    """
    many = len(names) > MANY_CLASSES
    size = MANY_CLASSES_SIZE if many else 2.2 + 0.45 * len(names)
    figure = Figure(figsize=(size + 0.3, size), layout="constrained")
    axes = figure.subplots()
    mistake_counts = matrix * (1 - np.eye(len(names), dtype=matrix.dtype))
    colours = axes.imshow(mistake_counts, cmap="Oranges", vmin=0, vmax=max(1, int(mistake_counts.max())) * 1.6)
    if many:
        figure.colorbar(colours, shrink=0.5, label="mistakes", ticks=MaxNLocator(6, integer=True)).outline.set_visible(
            False
        )
    else:
        _write_counts(axes, matrix)
    labels = class_labels.of_figure(names)
    positions = range(0, len(names), -(-len(names) // MOST_NAMES))
    labels = [labels[position] for position in positions]
    if max(map(len, labels)) <= 3:
        axes.set_xticks(positions, labels)
    elif many:
        axes.set_xticks(positions, labels, rotation=90)
    else:
        axes.set_xticks(positions, labels, rotation=45, ha="right")
    axes.set_yticks(positions, labels)
    axes.tick_params(length=0, labelsize=6 if many else None)
    axes.set(title=f"Confusion matrix, {split} split", xlabel="predicted", ylabel="label")
    return figure


def _write_counts(axes: Axes, matrix: np.ndarray) -> None:
    for row, column in zip(*np.nonzero(matrix)):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8, weight=weight)


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
    if not chosen:
        return figure
    images = as_shown(classified.images[[mistake.position for mistake in chosen]], classified.light_on_dark)
    squares = in_squares(images, *MISTAKE_SIDES)
    side = squares.shape[1]
    gap = round(MISTAKE_GAP * side)
    # All images in one axes: one axes per image takes ten times as long. Grey ones are drawn as amounts of ink, as they
    # always were: matplotlib would round the lightness otherwise, and change pictures of older versions.
    arranged = montage(squares, columns, gap, fill=255)
    axes.imshow(255 - arranged if squares.ndim == 3 else arranged, cmap="gray_r", vmin=0, vmax=255)
    axes.set_ylim(rows * (side + gap) - 1, -1)
    labels = class_labels.of_figure(names)
    for position, mistake in enumerate(chosen):
        row, column = divmod(position, columns)
        caption = f"{labels[mistake.predicted]} {100 * mistake.probability:.1f}%\nlabel {labels[mistake.label]}"
        x, y = column * (side + gap) + side / 2, row * (side + gap) + side + side / 28
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
    """Returns filters as one picture.

    Negative weights are blue, zeros white, positive weights red. Of colour images, each weight is the brightness of its
    colour: zeros are grey. One scale holds for all filters.

    Args:
        weights: float32 [height, width, n], or [height, width, 3, n] of colour images. Of more than MOST_FILTERS the
            first are shown.
    """
    images = np.moveaxis(weights[..., :MOST_FILTERS], -1, 0)
    count, height, width = images.shape[:3]
    largest = float(np.abs(weights).max()) or 1.0
    columns = min(count, max(1, round((count * height / width) ** 0.5 * 1.4)))
    shares = (images / largest + 1) / 2  # in [0, 1]
    if weights.ndim == 4:
        colours = (255 * shares).round().astype(np.uint8)
    else:
        colours = matplotlib.colormaps["RdBu_r"](shares, bytes=True)[..., :3]
    colours = shrunk(colours, max(1, 2 * FILTERS_WIDTH // columns))
    height, width = colours.shape[1:3]
    scale = max(1, min(FILTERS_WIDTH // (columns * width), FILTERS_WIDTH // height))
    enlarged = colours.repeat(scale, axis=1).repeat(scale, axis=2)
    gap = max(2, scale * min(height, width) // 14)
    return Image.fromarray(montage(enlarged, columns, gap, fill=255))


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
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
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
