"""Wall time of the complete job, from process start to exit, compared with Keras.

bash run.sh benchmark job [--only whole,accuracy,fixed] [--rounds N] [--seeds N] [--out DIR]

whole       dense with the notebook's settings: ten epochs and all output files, compared with a plain Keras script
accuracy    conv to 99% test accuracy, over several seeds, compared with Keras's `fit`
fixed       the costs beside training: start, evaluations, checkpoints
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from tabulate import tabulate

import input_fns
from benchmarks.processes import Finished, as_command, pyplot, run, say, spread, update_json
from estimator_mnist.system import command_name
from estimator_mnist.system.interpreter import ROOT, is_checkout, module_command

OURS, KERAS = "estimator-mnist", "Keras fit, plain"
TARGET_ACCURACY = 0.99  # on the test split
KERAS_MAX_EPOCHS = 12
Figures = Dict[str, Any]


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"{command_name.text()} benchmark job", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run: whole, accuracy, fixed")
    parser.add_argument("--rounds", type=int, default=5, help="of the parts whole and fixed")
    parser.add_argument("--epochs", type=int, default=10, help="of the part whole")
    parser.add_argument("--seeds", type=int, default=10, help="of the part accuracy")
    parser.add_argument("--keras_seeds", type=int, default=3, help="of the part accuracy, for Keras")
    help = "of the part accuracy; more flags may follow: 'default --train_epochs 1'"
    parser.add_argument("--recipe", default="fast", help=help)
    parser.add_argument("--out", default="runs/benchmark", help="the folder of the JSON and the picture")
    options = parser.parse_args(argv)
    options.only = options.only.split(",")
    if not set(options.only) <= set(PARTS):
        parser.error(f"--only: name some of {', '.join(PARTS)}")
    data = input_fns.find(input_fns.Request("mnist", "tfds"))
    assert data.train.images is not None
    options.data_dir = data.train.images.parent
    figures = {name: PARTS[name](options) for name in options.only}
    out = Path(options.out).resolve()
    all_figures = update_json(out / "job.json", figures)
    _draw(all_figures, out / "job.png")
    print(f"{out / 'job.json'}  {out / 'job.png'}")
    return 0


def _whole(options: argparse.Namespace) -> Figures:
    """Returns the seconds and the final test accuracy of each round."""
    seconds: Dict[str, List[float]] = {OURS: [], KERAS: []}
    accuracy: Dict[str, List[float]] = {OURS: [], KERAS: []}
    for number in range(options.rounds):
        finished, results = _run_ours("--model", "dense", "--recipe", "notebook", "--train_epochs", options.epochs)
        _note(seconds, accuracy, OURS, finished.seconds, results["final"]["test_accuracy"])
        finished = run(module_command("benchmarks.peers.keras_job", "dense", number, options.epochs, 0))
        _note(seconds, accuracy, KERAS, finished.seconds, json.loads(finished.stdout)["test_accuracy"][-1])
    rows = [
        [name, f"{statistics.median(values):.2f}", spread(values), len(values), _percent(accuracy[name]), ratio]
        for (name, values), ratio in zip(seconds.items(), ["", _ratio(seconds[KERAS], seconds[OURS])])
    ]
    headers = [
        f"dense, {options.epochs} epochs",
        "seconds, median",
        "min to max",
        "n",
        "test accuracy, mean",
        "slower by",
    ]
    _show(rows, headers)
    return {"seconds": seconds, "test_accuracy": accuracy}


def _accuracy(options: argparse.Namespace) -> Figures:
    """Returns the seconds to the end of our runs and to Keras's first evaluation at 99%, and the accuracies."""
    seconds: Dict[str, List[float]] = {OURS: [], KERAS: []}
    accuracy: Dict[str, List[float]] = {OURS: [], KERAS: []}
    evaluated: List[float] = []  # seconds to the final evaluation, by the run's own clock
    for seed in range(max(options.seeds, options.keras_seeds)):
        if seed < options.seeds:
            finished, results = _run_ours("--model", "conv", "--recipe", *options.recipe.split(), "--seed", seed)
            evaluated.append(results["seconds"]["total"])
            _note(seconds, accuracy, OURS, finished.seconds, results["final"]["test_accuracy"])
        if seed < options.keras_seeds:
            words = "conv", seed, KERAS_MAX_EPOCHS, TARGET_ACCURACY
            finished = run(module_command("benchmarks.peers.keras_job", *words))
            measured = json.loads(finished.stdout)
            seconds_to_target = measured["at"][-1] - finished.start_time
            _note(seconds, accuracy, KERAS, seconds_to_target, measured["test_accuracy"][-1])
    lines = [
        (f"{OURS}, to its end", seconds[OURS], accuracy[OURS]),
        (f"{OURS}, to its last evaluation", evaluated, accuracy[OURS]),
        (f"{KERAS}, to its first {TARGET_ACCURACY:.0%}", seconds[KERAS], accuracy[KERAS]),
    ]
    rows = [
        [name, f"{statistics.median(times):.2f}", spread(times), len(times), _percent(finals), f"{min(finals):.2%}"]
        for name, times, finals in lines
        if times
    ]
    headers = [f"conv to {TARGET_ACCURACY:.0%}", "seconds, median", "min to max", "n", "test accuracy, mean", "worst"]
    _show(rows, headers)
    if seconds[OURS] and seconds[KERAS]:
        print(f"Keras takes {_ratio(seconds[KERAS], seconds[OURS])} times as long\n")
    return {"recipe": options.recipe, "seconds": seconds, "to_last_evaluation": evaluated, "test_accuracy": accuracy}


def _fixed(options: argparse.Namespace) -> Figures:
    """Returns the seconds of each fixed cost, by name, a value a round."""
    seconds: Dict[str, List[float]] = {}

    def add(name: str, *values: float) -> None:
        seconds.setdefault(name, []).extend(values)

    for number in range(options.rounds):
        say(f"fixed {number + 1}/{options.rounds}")
        add("python -c 'import tensorflow'", run([sys.executable, "-c", "import tensorflow"]).seconds)
        for model in ("dense", "conv"):
            short = ["--model", model, "--recipe", "notebook", "--train_steps", FIXED_EVALS]
            _, few = _run_ours(*short, "--evals", 1)
            _, many = _run_ours(*short, "--evals", FIXED_EVALS)
            add(f"{model}: start to the first training step", few["seconds"]["to_first_step"])
            # The untrained network is evaluated as well. What else `evaluation` counts is work that is done once.
            add(f"{model}: an evaluation, with its share of the work done once", _evaluation(many) / (1 + FIXED_EVALS))
            add(f"{model}: a further evaluation", (_evaluation(many) - _evaluation(few)) / (FIXED_EVALS - 1))
            for name, peer in (("a bare forward pass", "forward"), ("a checkpoint", "checkpoints")):
                printed = run(module_command(f"benchmarks.peers.{peer}", model, options.data_dir, 10)).stdout
                add(f"{model}: {name}", statistics.median(json.loads(printed)["seconds"]))
    rows = [
        [name, f"{statistics.median(values):.3f}", spread(values, 3), len(values)] for name, values in seconds.items()
    ]
    _show(rows, ["fixed costs", "seconds, median", "min to max", "n"])
    return seconds


PARTS: Dict[str, Callable[[argparse.Namespace], Figures]] = {"whole": _whole, "accuracy": _accuracy, "fixed": _fixed}
FIXED_EVALS = 11


def _run_ours(*flags: object) -> "tuple[Finished, Figures]":
    """Runs the main job in a fresh model_dir, as a user does, and returns its wall time and its results.json."""
    with tempfile.TemporaryDirectory() as scratch:
        model_dir = Path(scratch, "run")
        flags = (*flags, "--source", "tfds", "--model_dir", model_dir)
        command = module_command("estimator_mnist", *flags)
        if is_checkout():
            command = ["bash", str(ROOT / "run.sh"), *map(str, flags)]
        return run(command), json.loads((model_dir / "results.json").read_text())


def _evaluation(results: Figures) -> float:
    return float(results["seconds"]["evaluation"])


def _note(
    seconds: Dict[str, List[float]], accuracy: Dict[str, List[float]], name: str, run_seconds: float, final: float
) -> None:
    seconds[name].append(run_seconds)
    accuracy[name].append(final)
    say(f"{name}: {run_seconds:.2f} s, test accuracy {final:.2%}")


def _percent(values: List[float]) -> str:
    return f"{statistics.mean(values):.2%}"


def _ratio(longer: List[float], shorter: List[float]) -> str:
    return f"{statistics.median(longer) / statistics.median(shorter):.2f}"


def _show(rows: List[List[Any]], headers: List[str]) -> None:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    print("\n" + tabulate(rows, headers, disable_numparse=True, colalign=aligned) + "\n", flush=True)


def _draw(figures: Dict[str, Figures], path: Path) -> None:
    plots = pyplot()
    grid, axes = plots.subplots(1, len(PARTS), figsize=(18, 4.2), layout="constrained")
    colors = {OURS: "C1", KERAS: "C0"}
    for name, seconds in figures.get("whole", {}).get("seconds", {}).items():
        axes[0].barh(name, statistics.median(seconds), color=colors[name])
        axes[0].scatter(seconds, [name] * len(seconds), color="0.3", s=9, zorder=2)
    axes[0].set(title="dense, the complete job: seconds")
    for name, seconds in figures.get("accuracy", {}).get("seconds", {}).items():
        finals = figures["accuracy"]["test_accuracy"][name]
        axes[1].scatter(seconds, [100 * value for value in finals], color=colors[name], label=name)
        axes[1].legend()
    axes[1].axhline(100 * TARGET_ACCURACY, color="0.6", linewidth=1)
    axes[1].set(
        title="conv, each dot a seed", xlabel="seconds from the start of the process", ylabel="test accuracy, %"
    )
    axes[1].set_xlim(left=0)
    fixed = dict(reversed(figures.get("fixed", {}).items()))
    axes[2].barh(list(fixed), [statistics.median(seconds) for seconds in fixed.values()], color="C1")
    axes[2].set(title="fixed costs: seconds")
    grid.savefig(path, dpi=110)
    plots.close(grid)


if __name__ == "__main__":
    sys.exit(main())
