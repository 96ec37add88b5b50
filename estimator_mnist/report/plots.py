"""Pictures of a run, as PNG files in model_dir/plots; some of them are in TensorBoard and in the report, too.

Figures are made without pyplot, which keeps state and takes a fifth of a second more to import.
"""

import io
import re
from pathlib import Path
from typing import Any, ContextManager, Dict, List, NamedTuple, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image

from estimator_mnist.evaluation.metrics import Classified, Mistake
from estimator_mnist.evaluation.statistics import Calibration
from estimator_mnist.report.montage import montage
from estimator_mnist.system.paths import replace_file

FOLDER = "plots"
TRAINING, TEST = "#3a7bd5", "#e07a2f"  # readable on white and on near black
INK = "#010203"  # text and frames: no other colour of a figure, so that the report can put its own in its place
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
    "svg.fonttype": "none",  # text as text
    "svg.hashsalt": "",  # the same picture is the same file
}
MISTAKE_COLUMNS = 8
FILTER_PIXELS = 1000  # at most so wide


class Curve(NamedTuple):
    """A quantity over a run."""

    quantity: str  # "loss" or "accuracy"
    epoch_means: Sequence[float]  # over the training examples of each epoch; may be empty
    training: Dict[int, float]  # {step: value}, logged in training
    evaluations: Dict[int, float]  # {step: value}


def training_curves(curve: Curve, steps_per_epoch: int, unit: str = "accuracy", split: str = "test") -> Figure:
    """Draws training and evaluations of one quantity over the epochs.

    Args:
        curve: The quantity.
        steps_per_epoch: Steps in an epoch.
        unit: Of the quantity.
        split: What was evaluated, "test" or "validation".
    """
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    epoch_means = curve.epoch_means
    epoch_count = max(curve.training, default=0) / steps_per_epoch
    logged = sorted(curve.training.items())
    axes.plot(
        [step / steps_per_epoch for step, _ in logged],
        [value for _, value in logged],
        color=TRAINING,
        linewidth=1,
        alpha=0.4 if epoch_means else 1,
        label=None if epoch_means else "training",
    )
    if epoch_means:
        middles = [epoch + 0.5 for epoch in range(len(epoch_means))]
        axes.plot(middles, epoch_means, "o-", color=TRAINING, markersize=4, label="training, mean of the epoch")
    evaluated = sorted((step, value) for step, value in curve.evaluations.items() if step)
    steps, values = [step / steps_per_epoch for step, _ in evaluated], [value for _, value in evaluated]
    axes.plot(steps, values, "s--", color=TEST, markersize=4, label=split)
    if curve.quantity == "loss":
        axes.set(title="Loss", ylabel=unit, yscale="log")
        decades = np.ptp(np.log10(axes.get_ylim()))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades > 1 else range(1, 10)))
        # 0.05 and not 5 x 10^-2, which takes a parser of formulas.
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set(title="Accuracy", ylabel=unit)
        # What the first steps reach is of no interest, and would press all that follows into a line.
        low = min([*values, *(value for step, value in logged if step >= steps_per_epoch / 2)], default=0.0)
        axes.set_ylim(max(0.0, low - 0.25 * (1 - low)), 1 + 0.03 * (1 - low))
    axes.set_xlabel("epoch")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=epoch_count > 1))
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    axes.legend()
    return figure


def confusion_matrix(matrix: np.ndarray, names: Sequence[str], split: str = "test") -> Figure:
    """Draws a confusion matrix; the colours are those of the mistakes, which the right ones would outshine."""
    size = 2.2 + 0.45 * len(names)
    figure = Figure(figsize=(size + 0.3, size), layout="constrained")
    axes = figure.subplots()
    wrong = matrix * (1 - np.eye(len(names), dtype=matrix.dtype))
    axes.imshow(wrong, cmap="Oranges", vmin=0, vmax=max(1, int(wrong.max())) * 1.6)
    for row, column in zip(*np.nonzero(matrix)):
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8, weight=weight)
    positions = range(len(names))
    long = max(map(len, names)) > 3
    axes.set_xticks(positions, names, rotation=45 if long else 0, ha="right" if long else "center")
    axes.set_yticks(positions, names)
    axes.tick_params(length=0)
    axes.set(title=f"{split.capitalize()} images by label and prediction", xlabel="predicted", ylabel="label")
    return figure


def mistakes(classified: Classified, chosen: Sequence[Mistake], names: Sequence[str]) -> Figure:
    """Draws mistakes, each with what was predicted, at which probability, and what it is."""
    columns = MISTAKE_COLUMNS
    rows = max(1, -(-len(chosen) // columns))
    figure = Figure(figsize=(columns * 1.25, rows * 1.25 + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_title(f"The {len(chosen)} mistakes made with the highest probability" if chosen else "No mistakes")
    gap = 12
    height, width = classified.images.shape[1:3]
    if chosen:
        images = np.stack([classified.images[mistake.position] for mistake in chosen])
        # One picture for all: an axes for each takes ten times as long.
        axes.imshow(montage(images, columns, gap), cmap="gray_r", vmin=0, vmax=255)
        axes.set_ylim(rows * (height + gap) - 1, -1)
    for position, mistake in enumerate(chosen):
        row, column = divmod(position, columns)
        text = f"{names[mistake.predicted]} {100 * mistake.probability:.1f}%\nis {names[mistake.label]}"
        place = column * (width + gap) + width / 2, row * (height + gap) + height + 1
        axes.text(*place, text, ha="center", va="top", fontsize=7)
    return figure


def reliability(calibration: Calibration) -> Figure:
    """Draws the share that is right in each bin of probability, beside the diagonal of a network that is calibrated."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    filled = [part for part in calibration.bins if part.examples]
    middles, width = [(part.low + part.high) / 2 for part in filled], 1 / len(calibration.bins)
    axes.bar(middles, [part.accuracy for part in filled], width * 0.92, color=TRAINING, alpha=0.75, label="right")
    axes.plot([part.confidence for part in filled], [part.accuracy for part in filled], "o", color=TEST, markersize=4)
    axes.plot([0, 1], [0, 1], "--", color=INK, linewidth=1, alpha=0.6, label="as sure as right")
    for middle, part in zip(middles, filled):
        axes.text(middle, part.accuracy + 0.02, f"{part.examples:,}", ha="center", fontsize=6)
    axes.set(title="Reliability", xlabel="probability of the class predicted", ylabel="accuracy")
    axes.set(xlim=(0, 1), ylim=(0, 1.08))
    axes.legend(loc="upper left")
    return figure


def filters(images: np.ndarray) -> Image.Image:
    """Returns filters, float32 [height, width, n], as one picture: blue negative, white zero, red positive."""
    height, width, count = images.shape
    largest = float(np.abs(images).max()) or 1.0
    columns = max(1, round((count * height / width) ** 0.5 * 1.4))
    scale = max(1, FILTER_PIXELS // (columns * width))
    values = np.moveaxis(images, 2, 0) / largest
    colours = matplotlib.colormaps["RdBu_r"]((values + 1) / 2, bytes=True)[..., :3]
    big = colours.repeat(scale, axis=1).repeat(scale, axis=2)
    gap = max(2, scale * width // 14)
    channels = [montage(big[..., channel], columns, gap, fill=255) for channel in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1))


def style() -> ContextManager[None]:
    """Returns the context in which figures are made and turned into files."""
    return matplotlib.rc_context(STYLE)


def png(picture: "Figure | Image.Image") -> bytes:
    """Returns a picture as the content of a PNG file."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(buffer, format="png", dpi=120)
        picture.set_layout_engine("none")  # it has found its places: to find them again takes as long as to draw
    else:
        picture.save(buffer, format="png")
    return buffer.getvalue()


def svg(figure: Figure, prefix: str) -> str:
    """Returns a figure as an SVG element for a page: its ink is the page's, its ids begin with a prefix."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue().replace(INK, "currentColor")
    text = re.sub(r'( id="|url\(#|href="#)', rf"\1{prefix}-", text)
    return text[text.index("<svg") :]


def write(pictures: Dict[str, bytes], model_dir: Path) -> List[Path]:
    """Writes {name: content of a PNG file} to model_dir/plots, each whole or not at all, and returns the paths."""
    folder = model_dir / FOLDER
    folder.mkdir(exist_ok=True)
    paths = []
    for name, content in pictures.items():
        paths.append(folder / f"{name}.png")
        replace_file(paths[-1], content)
    return paths
