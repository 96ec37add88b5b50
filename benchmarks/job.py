"""The whole job against Keras's, by the clock on the wall: from the start of a process to its end.

bash run.sh benchmark job [--only whole,accuracy,fixed] [--rounds N] [--seeds N] [--out DIR]

whole       dense with the notebook's settings, ten epochs and all that a run leaves, against a plain Keras script
accuracy    conv to 99% test accuracy, over several seeds, against Keras's `fit`
fixed       what does not train: start, evaluations, checkpoints
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
from benchmarks.processes import ROOT, Finished, as_command, module, pyplot, run, say, spread, update_json

OURS, KERAS = "estimator-mnist", "Keras fit, plain"
WANTED = 0.99  # test accuracy
KERAS_PATIENCE = 12  # epochs
Figures = Dict[str, Any]


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="bash run.sh benchmark job", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, of whole, accuracy and fixed")
    parser.add_argument("--rounds", type=int, default=5, help="of whole and fixed")
    parser.add_argument("--epochs", type=int, default=10, help="of whole")
    parser.add_argument("--seeds", type=int, default=10, help="of accuracy")
    parser.add_argument("--keras_seeds", type=int, default=3, help="of accuracy, for Keras")
    parser.add_argument("--recipe", default="fast", help="of accuracy, with further flags: 'default --train_epochs 1'")
    parser.add_argument("--out", default="runs/benchmark", help="where the JSON and the picture go")
    options = parser.parse_args(argv)
    options.only = options.only.split(",")
    if not set(options.only) <= set(PARTS):
        parser.error(f"--only: name some of {', '.join(PARTS)}")
    data = input_fns.find("mnist", "tfds")
    assert data.train.images is not None
    options.idx_dir = data.train.images.parent
    found: Dict[str, Figures] = {}
    for name in options.only:
        found[name] = PARTS[name](options)
    out = Path(options.out).resolve()
    everything = update_json(out / "job.json", found)
    _draw(everything, out / "job.png")
    print(f"{out / 'job.json'}  {out / 'job.png'}")
    return 0


def _whole(options: argparse.Namespace) -> Figures:
    """Returns the seconds of each round, and the test accuracy at its end."""
    seconds: Dict[str, List[float]] = {OURS: [], KERAS: []}
    accuracy: Dict[str, List[float]] = {OURS: [], KERAS: []}
    for number in range(options.rounds):
        done, results = _ours("--model", "dense", "--recipe", "notebook", "--train_epochs", options.epochs)
        _note(seconds, accuracy, OURS, done.seconds, results["final"]["test_accuracy"])
        done = run(module("benchmarks.peers.keras_job", "dense", number, options.epochs, 0))
        _note(seconds, accuracy, KERAS, done.seconds, json.loads(done.stdout)["test_accuracy"][-1])
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
    """Returns the seconds to the end of our runs and to Keras's first evaluation at 99%, with the accuracies."""
    seconds: Dict[str, List[float]] = {OURS: [], KERAS: []}
    accuracy: Dict[str, List[float]] = {OURS: [], KERAS: []}
    evaluated: List[float] = []  # seconds to the final evaluation, by the run's own clock
    for seed in range(max(options.seeds, options.keras_seeds)):
        if seed < options.seeds:
            done, results = _ours("--model", "conv", "--recipe", *options.recipe.split(), "--seed", seed)
            evaluated.append(results["seconds"]["total"])
            _note(seconds, accuracy, OURS, done.seconds, results["final"]["test_accuracy"])
        if seed < options.keras_seeds:
            done = run(module("benchmarks.peers.keras_job", "conv", seed, KERAS_PATIENCE, WANTED))
            told = json.loads(done.stdout)
            _note(seconds, accuracy, KERAS, told["at"][-1] - done.started, told["test_accuracy"][-1])
    lines = [
        (f"{OURS}, to its end", seconds[OURS], accuracy[OURS]),
        (f"{OURS}, to its last evaluation", evaluated, accuracy[OURS]),
        (f"{KERAS}, to its first {WANTED:.0%}", seconds[KERAS], accuracy[KERAS]),
    ]
    rows = [
        [name, f"{statistics.median(took):.2f}", spread(took), len(took), _percent(reached), f"{min(reached):.2%}"]
        for name, took, reached in lines
        if took
    ]
    headers = [f"conv to {WANTED:.0%}", "seconds, median", "min to max", "n", "test accuracy, mean", "worst"]
    _show(rows, headers)
    if seconds[OURS] and seconds[KERAS]:
        print(f"Keras takes {_ratio(seconds[KERAS], seconds[OURS])} times as long\n")
    return {"recipe": options.recipe, "seconds": seconds, "to_last_evaluation": evaluated, "test_accuracy": accuracy}


def _fixed(options: argparse.Namespace) -> Figures:
    """Returns the seconds of each fixed cost, by name, a value a round."""
    found: Dict[str, List[float]] = {}

    def add(name: str, *values: float) -> None:
        found.setdefault(name, []).extend(values)

    for number in range(options.rounds):
        say(f"fixed {number + 1}/{options.rounds}")
        add("python -c 'import tensorflow'", run([sys.executable, "-c", "import tensorflow"]).seconds)
        for model in ("dense", "conv"):
            short = ["--model", model, "--recipe", "notebook", "--train_steps", FIXED_EVALS]
            _, few = _ours(*short, "--evals", 1)
            _, many = _ours(*short, "--evals", FIXED_EVALS)
            add(f"{model}: start to the first training step", few["seconds"]["to_first_step"])
            # The untrained network is evaluated, too. The rest of `evaluation` is what is done once.
            add(f"{model}: an evaluation, all that is done once included", _evaluation(many) / (1 + FIXED_EVALS))
            add(f"{model}: a further evaluation", (_evaluation(many) - _evaluation(few)) / (FIXED_EVALS - 1))
            for name, peer in (("a bare forward pass", "forward"), ("a checkpoint", "checkpoints")):
                told = run(module(f"benchmarks.peers.{peer}", model, options.idx_dir, 10)).stdout
                add(f"{model}: {name}", statistics.median(json.loads(told)["seconds"]))
    rows = [[name, f"{statistics.median(took):.3f}", spread(took, 3), len(took)] for name, took in found.items()]
    _show(rows, ["fixed costs", "seconds, median", "min to max", "n"])
    return found


PARTS: Dict[str, Callable[[argparse.Namespace], Figures]] = {"whole": _whole, "accuracy": _accuracy, "fixed": _fixed}
FIXED_EVALS = 11


def _ours(*flags: object) -> "tuple[Finished, Figures]":
    """Runs the main job in a fresh model_dir, as a user does, and returns what it took and its results.json."""
    with tempfile.TemporaryDirectory() as scratch:
        model_dir = Path(scratch, "run")
        done = run(["bash", str(ROOT / "run.sh"), *map(str, flags), "--source", "tfds", "--model_dir", str(model_dir)])
        return done, json.loads((model_dir / "results.json").read_text())


def _evaluation(results: Figures) -> float:
    return float(results["seconds"]["evaluation"])


def _note(
    seconds: Dict[str, List[float]], accuracy: Dict[str, List[float]], name: str, took: float, reached: float
) -> None:
    seconds[name].append(took)
    accuracy[name].append(reached)
    say(f"{name}: {took:.2f} s, test accuracy {reached:.2%}")


def _percent(values: List[float]) -> str:
    return f"{statistics.mean(values):.2%}"


def _ratio(longer: List[float], shorter: List[float]) -> str:
    return f"{statistics.median(longer) / statistics.median(shorter):.2f}"


def _show(rows: List[List[Any]], headers: List[str]) -> None:
    aligned = ["left", *["right"] * (len(headers) - 1)]
    print("\n" + tabulate(rows, headers, disable_numparse=True, colalign=aligned) + "\n", flush=True)


def _draw(found: Dict[str, Figures], path: Path) -> None:
    plots = pyplot()
    figure, axes = plots.subplots(1, len(PARTS), figsize=(18, 4.2), layout="constrained")
    colors = {OURS: "C1", KERAS: "C0"}
    for name, seconds in found.get("whole", {}).get("seconds", {}).items():
        axes[0].barh(name, statistics.median(seconds), color=colors[name])
        axes[0].scatter(seconds, [name] * len(seconds), color="0.3", s=9, zorder=2)
    axes[0].set(title="dense, the whole job: seconds")
    for name, seconds in found.get("accuracy", {}).get("seconds", {}).items():
        reached = found["accuracy"]["test_accuracy"][name]
        axes[1].scatter(seconds, [100 * value for value in reached], color=colors[name], label=name)
        axes[1].legend()
    axes[1].axhline(100 * WANTED, color="0.6", linewidth=1)
    axes[1].set(
        title="conv, each dot a seed", xlabel="seconds from the start of the process", ylabel="test accuracy, %"
    )
    axes[1].set_xlim(left=0)
    fixed = dict(reversed(found.get("fixed", {}).items()))
    axes[2].barh(list(fixed), [statistics.median(seconds) for seconds in fixed.values()], color="C1")
    axes[2].set(title="fixed costs: seconds")
    figure.savefig(path, dpi=110)
    plots.close(figure)


if __name__ == "__main__":
    sys.exit(main())
