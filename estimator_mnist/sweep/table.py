"""The results of a sweep: each setting over its seeds, as a table, CSV files and a picture."""

import csv
import io
import math
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import numpy as np

from estimator_mnist.evaluation import statistics
from estimator_mnist.evaluation.statistics import Summary
from estimator_mnist.model_dir import predictions
from estimator_mnist.model_dir.results import final_figures
from estimator_mnist.sweep.processes import Outcome
from estimator_mnist.sweep.search import FINISHED, Run
from estimator_mnist.sweep.search_space import Setting
from estimator_mnist.system import terminal
from estimator_mnist.system.paths import replace_file
from estimator_mnist.system.terminal import percent

TABLE, RUNS, PICTURE = "sweep.csv", "runs.csv", "sweep.png"
MAX_DRAWN_SETTINGS = 40  # in the picture


class Row(NamedTuple):
    """The finished runs of a setting."""

    setting: Setting
    accuracies: List[float]
    accuracy: Summary
    loss: Summary
    ensemble_accuracy: float  # of the mean probabilities over the runs; NaN with fewer than two predictions.npz
    training_seconds: float  # mean over the runs
    parameters: int
    metrics: Dict[str, Summary]  # of --metric, by its name
    score: float  # mean over the runs of --best_metric, negated where lower is better
    unfinished: Dict[str, int]  # state -> number of runs of the setting that ended in it


def rows(outcomes: Dict[Run, Outcome]) -> List[Row]:
    """Returns a row for every setting with a finished run, the best first, as --best_metric says."""
    by_setting: Dict[Setting, Dict[Run, Outcome]] = {}
    for run, outcome in outcomes.items():
        by_setting.setdefault(run.setting, {})[run] = outcome
    all_rows = [_row(setting, of_setting) for setting, of_setting in by_setting.items()]
    return sorted((row for row in all_rows if row is not None), key=lambda row: -row.score)


def _row(setting: Setting, outcomes: Dict[Run, Outcome]) -> "Row | None":
    results = {run: outcome.results for run, outcome in outcomes.items() if outcome.results}
    if not results:
        return None
    accuracies = [result["final"]["test_accuracy"] for result in results.values()]
    figures = [final_figures(result) for result in results.values()]
    metrics = {name: statistics.summary([values[name] for values in figures]) for name in _metrics_of_all(results)}
    states = [outcome.state for outcome in outcomes.values() if outcome.state != FINISHED]
    return Row(
        setting,
        accuracies,
        statistics.summary(accuracies),
        statistics.summary([result["final"]["test_loss"] for result in results.values()]),
        ensemble_accuracy([run.folder for run in results]),
        statistics.summary([result["seconds"]["training"] for result in results.values()]).mean,
        next(iter(results.values()))["parameters"],
        metrics,
        statistics.summary([outcomes[run].score(run) for run in results]).mean,
        {state: states.count(state) for state in states},
    )


def _metrics_of_all(results: Mapping[Run, Mapping[str, Any]]) -> List[str]:
    """Returns the names of the metrics that all results have beside loss and accuracy."""
    first, *others = (list(result["metrics"]) for result in results.values())
    return [name for name in first if all(name in names for names in others)]


def ensemble_accuracy(model_dirs: Sequence[Path]) -> float:
    """Returns the accuracy, 0 to 1, of the mean probabilities over runs that are evaluated on the same examples.

    NaN for fewer than two runs, if a run has no intact predictions.npz, or if the runs' labels differ.
    """
    stored = [predictions.read(model_dir) for model_dir in model_dirs]
    members = [member for member in stored if member is not None]
    same_labels = all(np.array_equal(member.labels, members[0].labels) for member in members)
    if len(members) < max(2, len(model_dirs)) or not same_labels:
        return math.nan
    mean_probabilities = np.mean([member.probabilities for member in members], axis=0, dtype=np.float64)
    return float((mean_probabilities.argmax(axis=1) == members[0].labels).mean())


def show(rows: List[Row], split: str) -> None:
    """Prints the table. Without several runs, a setting has no standard deviation, interval or ensemble."""
    names = _varied_flags(rows)
    metrics = sorted({name for row in rows for name in row.metrics})
    headers = [*names, "n", "accuracy", "std", "95% interval", "ensemble", "loss", *metrics]
    lines = [[*_cells(row, names), *(_mean(row, name) for name in metrics)] for row in rows]
    if any(row.unfinished for row in rows):
        headers.append("not finished")
        for line, row in zip(lines, rows):
            line.append(", ".join(f"{count} {state}" for state, count in row.unfinished.items()))
    terminal.say(f"\nOn the {split} split: mean over the seeds, standard deviation in points, Student's interval\n")
    terminal.say(terminal.table(lines, headers))


def _cells(row: Row, names: List[str]) -> List[str]:
    values, accuracy = dict(row.setting), row.accuracy
    is_single = accuracy.n == 1
    return [
        *(values[name] for name in names),
        str(accuracy.n),
        percent(accuracy.mean),
        "" if is_single else f"{100 * accuracy.std:.2f}",
        "" if is_single else f"{percent(accuracy.interval[0])} to {percent(accuracy.interval[1])}",
        "" if math.isnan(row.ensemble_accuracy) else percent(row.ensemble_accuracy),
        f"{row.loss.mean:.4f}",
    ]


def _mean(row: Row, metric: str) -> str:
    return f"{row.metrics[metric].mean:.4f}" if metric in row.metrics else ""


def _varied_flags(rows: List[Row]) -> List[str]:
    """Returns the flags in which the settings differ; the model if there is only one setting."""
    settings = [dict(row.setting) for row in rows]
    differing = [name for name in settings[0] if len({values[name] for values in settings}) > 1]
    return differing or ["model"]


def write(rows: List[Row], outcomes: Dict[Run, Outcome], split: str, folder: Path) -> None:
    """Writes sweep.csv, a line per setting, runs.csv, a line per run, and sweep.png, each of them atomically."""
    replace_file(folder / TABLE, _csv([_setting_line(row, split) for row in rows]))
    replace_file(folder / RUNS, _csv([_run_line(run, outcome) for run, outcome in outcomes.items()]))
    if rows:
        from estimator_mnist.report import plots

        with plots.style():
            replace_file(folder / PICTURE, plots.png(_picture(rows[:MAX_DRAWN_SETTINGS], split)))


def _setting_line(row: Row, split: str) -> Dict[str, Any]:
    accuracy, loss = row.accuracy, row.loss
    return {
        **dict(row.setting),
        "split": split,
        "n": accuracy.n,
        "accuracy_mean": accuracy.mean,
        "accuracy_std": accuracy.std,
        "accuracy_low": accuracy.interval[0],
        "accuracy_high": accuracy.interval[1],
        "accuracy_min": min(row.accuracies),
        "accuracy_max": max(row.accuracies),
        "ensemble_accuracy": row.ensemble_accuracy,
        "loss_mean": loss.mean,
        "loss_std": loss.std,
        **{f"{name}_mean": summary.mean for name, summary in row.metrics.items()},
        **{f"{name}_std": summary.std for name, summary in row.metrics.items()},
        "training_seconds": row.training_seconds,
        "parameters": row.parameters,
    }


def _run_line(run: Run, outcome: Outcome) -> Dict[str, Any]:
    final = outcome.results["final"] if outcome.results else {}
    return {
        "run": run.name,
        **dict(run.setting),
        "seed": run.seed,
        "accuracy": final.get("test_accuracy", math.nan),
        "loss": final.get("test_loss", math.nan),
        **({name: values["final"] for name, values in outcome.results["metrics"].items()} if outcome.results else {}),
        "state": outcome.state,
        "reason": outcome.reason,
    }


def _csv(lines: List[Dict[str, Any]]) -> str:
    """Returns lines as CSV; NaN becomes an empty cell."""
    buffer = io.StringIO()
    if lines:
        columns = list(dict.fromkeys(name for line in lines for name in line))
        writer = csv.DictWriter(buffer, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for line in lines:
            writer.writerow({name: "" if value is None or value != value else value for name, value in line.items()})
    return buffer.getvalue()


def _picture(rows: List[Row], split: str) -> Any:
    """Returns a figure of each setting's runs, their mean with its interval, and their ensemble."""
    from matplotlib.figure import Figure

    from estimator_mnist.report import plots

    names = _varied_flags(rows)
    figure = Figure(figsize=(7.2, 1.3 + 0.34 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for height, row in enumerate(rows):
        low, high = row.accuracy.interval
        points = [100 * accuracy for accuracy in row.accuracies]
        axes.plot(points, [height] * len(points), "o", color=plots.TRAINING, alpha=0.55, markersize=5)
        if row.accuracy.n > 1:
            axes.plot([100 * low, 100 * high], [height] * 2, color=plots.INK, linewidth=1.2)
        axes.plot(100 * row.accuracy.mean, height, "|", color=plots.INK, markersize=13, markeredgewidth=2)
        axes.plot(100 * row.ensemble_accuracy, height, "D", color=plots.TEST, markersize=5)
    colours = (plots.TRAINING, plots.INK, plots.TEST)
    legend = [axes.plot([], [], style, color=colour)[0] for style, colour in zip("o|D", colours)]
    figure.legend(legend, ["a run", "mean, 95% interval", "ensemble"], loc="outside lower center", ncols=3, fontsize=8)
    labels = [", ".join(f"{name} {dict(row.setting)[name]}" for name in names) for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"accuracy on the {split} split, %")
    axes.grid(axis="x", color=plots.INK, alpha=0.12, linewidth=0.6)
    return figure
