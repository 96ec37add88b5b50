"""What a sweep ends with: each setting over its seeds, as a table, CSV files and a picture."""

import csv
import io
import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy as np

from estimator_mnist.config.experiment import replace_file
from estimator_mnist.evaluation import statistics
from estimator_mnist.evaluation.statistics import Summary
from estimator_mnist.model_dir import predictions
from estimator_mnist.sweep.processes import Outcome
from estimator_mnist.sweep.search import FINISHED, Run
from estimator_mnist.sweep.search_space import Setting
from estimator_mnist.system import terminal
from estimator_mnist.system.terminal import percent

TABLE, RUNS, PICTURE = "sweep.csv", "runs.csv", "sweep.png"
SHOWN = 40  # settings in the picture


class Row(NamedTuple):
    """The finished runs of a setting."""

    setting: Setting
    accuracies: List[float]
    accuracy: Summary
    loss: Summary
    ensemble: float  # accuracy of the mean probabilities over the runs; NaN where there are fewer than two to be had
    seconds: float  # of training, in the mean
    parameters: int
    others: Dict[str, int]  # state -> how many runs of the setting did not finish


def rows(outcomes: Dict[Run, Outcome]) -> List[Row]:
    """Returns a row for every setting with a finished run, the best first."""
    settings: Dict[Setting, Dict[Run, Outcome]] = {}
    for run, outcome in outcomes.items():
        settings.setdefault(run.setting, {})[run] = outcome
    found = [_row(setting, of_setting) for setting, of_setting in settings.items()]
    return sorted((row for row in found if row is not None), key=lambda row: -row.accuracy.mean)


def _row(setting: Setting, outcomes: Dict[Run, Outcome]) -> "Row | None":
    finished = {run: outcome.results for run, outcome in outcomes.items() if outcome.results}
    if not finished:
        return None
    final = [result["final"] for result in finished.values()]
    accuracies = [figures["test_accuracy"] for figures in final]
    states = [outcome.state for outcome in outcomes.values() if outcome.state != FINISHED]
    return Row(
        setting,
        accuracies,
        statistics.summary(accuracies),
        statistics.summary([figures["test_loss"] for figures in final]),
        _ensemble_accuracy([run.folder for run in finished]),
        statistics.summary([result["seconds"]["training"] for result in finished.values()]).mean,
        next(iter(finished.values()))["parameters"],
        {state: states.count(state) for state in states},
    )


def _ensemble_accuracy(folders: Sequence[Path]) -> float:
    """Returns the accuracy of the mean probabilities over runs on the same split, NaN where it cannot be told."""
    kept = [predictions.read(folder) for folder in folders]
    members = [found for found in kept if found is not None]
    same = all(np.array_equal(found.labels, members[0].labels) for found in members)
    if len(members) < max(2, len(folders)) or not same:
        return math.nan
    mean = np.mean([found.probabilities for found in members], axis=0, dtype=np.float64)
    return float((mean.argmax(axis=1) == members[0].labels).mean())


def show(found: List[Row], split: str) -> None:
    """Prints the table; figures of a single run have no deviation, interval or ensemble."""
    names = _varied(found)
    lines = []
    for row in found:
        values, accuracy = dict(row.setting), row.accuracy
        several = accuracy.n > 1
        others = ", ".join(f"{count} {state}" for state, count in row.others.items())
        lines.append(
            [
                *(values[name] for name in names),
                str(accuracy.n),
                percent(accuracy.mean),
                f"{100 * accuracy.std:.2f}" if several else "",
                f"{percent(accuracy.interval[0])} to {percent(accuracy.interval[1])}" if several else "",
                "" if math.isnan(row.ensemble) else percent(row.ensemble),
                f"{row.loss.mean:.4f}",
                *([others] if any(other.others for other in found) else []),
            ]
        )
    headers = [*names, "n", "accuracy", "std", "95% interval", "ensemble", "loss"]
    headers += ["not finished"] if any(row.others for row in found) else []
    terminal.say(f"\nOn the {split} split: mean over the seeds, standard deviation in points, Student's interval\n")
    terminal.say(terminal.table(lines, headers))


def _varied(found: List[Row]) -> List[str]:
    """Returns the flags in which settings differ; the model where there is but one setting."""
    every = [dict(row.setting) for row in found]
    differing = [name for name in every[0] if len({values[name] for values in every}) > 1]
    return differing or ["model"]


def write(found: List[Row], outcomes: Dict[Run, Outcome], split: str, folder: Path) -> None:
    """Writes sweep.csv, a line a setting; runs.csv, a line a run; and sweep.png. Each whole or not at all."""
    settings = []
    for row in found:
        accuracy, loss = row.accuracy, row.loss
        settings.append(
            {
                **dict(row.setting),
                "split": split,
                "n": accuracy.n,
                "accuracy_mean": accuracy.mean,
                "accuracy_std": accuracy.std,
                "accuracy_low": accuracy.interval[0],
                "accuracy_high": accuracy.interval[1],
                "accuracy_min": min(row.accuracies),
                "accuracy_max": max(row.accuracies),
                "ensemble_accuracy": row.ensemble,
                "loss_mean": loss.mean,
                "loss_std": loss.std,
                "training_seconds": row.seconds,
                "parameters": row.parameters,
            }
        )
    runs = []
    for run, outcome in outcomes.items():
        final = outcome.results["final"] if outcome.results else {}
        figures = {"accuracy": final.get("test_accuracy", math.nan), "loss": final.get("test_loss", math.nan)}
        said = {"state": outcome.state, "reason": outcome.reason}
        runs.append({"run": run.name, **dict(run.setting), "seed": run.seed, **figures, **said})
    replace_file(folder / TABLE, _csv(settings))
    replace_file(folder / RUNS, _csv(runs))
    if found:
        from estimator_mnist.report import plots

        with plots.style():
            replace_file(folder / PICTURE, plots.png(_picture(found[:SHOWN], split)))


def _csv(lines: List[Dict[str, Any]]) -> str:
    """Returns lines as CSV, with what is not to be had left empty."""
    buffer = io.StringIO()
    if lines:
        writer = csv.DictWriter(buffer, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({name: "" if value != value else value for name, value in line.items()})
    return buffer.getvalue()


def _picture(found: List[Row], split: str) -> Any:
    """Draws each setting's runs, their mean with its interval, and the ensemble."""
    from matplotlib.figure import Figure

    from estimator_mnist.report import plots

    names = _varied(found)
    figure = Figure(figsize=(7.2, 1.3 + 0.34 * len(found)), layout="constrained")
    axes = figure.subplots()
    for height, row in enumerate(found):
        low, high = row.accuracy.interval
        points = [100 * accuracy for accuracy in row.accuracies]
        axes.plot(points, [height] * len(points), "o", color=plots.TRAINING, alpha=0.55, markersize=5)
        if row.accuracy.n > 1:
            axes.plot([100 * low, 100 * high], [height] * 2, color=plots.INK, linewidth=1.2)
        axes.plot(100 * row.accuracy.mean, height, "|", color=plots.INK, markersize=13, markeredgewidth=2)
        axes.plot(100 * row.ensemble, height, "D", color=plots.TEST, markersize=5)
    colours = (plots.TRAINING, plots.INK, plots.TEST)
    legend = [axes.plot([], [], style, color=colour)[0] for style, colour in zip("o|D", colours)]
    figure.legend(legend, ["a run", "mean, 95% interval", "ensemble"], loc="outside lower center", ncols=3, fontsize=8)
    labels = [", ".join(f"{name} {dict(row.setting)[name]}" for name in names) for row in found]
    axes.set_yticks(range(len(found)), labels)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel(f"accuracy on the {split} split, %")
    axes.grid(axis="x", color=plots.INK, alpha=0.12, linewidth=0.6)
    return figure
