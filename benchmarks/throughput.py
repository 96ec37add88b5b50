"""Training throughput of this project and its peers, with the same network, batch size, optimizer and data.

    bash run.sh benchmark throughput [--model dense,conv] [--rounds N] [--only NAME,NAME] [--out DIR]

Every contestant is a separate process. They run one after another in turn, round by round. PyTorch and JAX, which
cannot live in TensorFlow's environment, get their own on first use (benchmarks/requirements-*.txt). If an environment
cannot be made, its contestants are left out.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from tabulate import tabulate

import input_fns
from benchmarks.processes import QUIET, as_command, pyplot, run_together, say, spread
from estimator_mnist.export import isolated_venv
from estimator_mnist.system import command_name
from estimator_mnist.system.child_processes import Program
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.interpreter import module_command

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 300


class Contestant(NamedTuple):
    """A program that trains the network of the task."""

    name: str
    module: str  # in benchmarks.peers
    variant: str = ""
    environment: str = ""  # the * of benchmarks/requirements-*.txt; "" for the project's own environment
    floor: bool = False  # a lower bound of the time, not a way to train


CONTESTANTS = {
    "dense": [
        Contestant("estimator-mnist", "ours"),
        Contestant("Estimator, plain TFDS pipeline", "estimator_plain"),
        Contestant("Keras fit, plain", "keras_fit", "plain"),
        Contestant("Keras fit, best", "keras_fit", "best"),
        Contestant("Keras fit, best, jit_compile", "keras_fit", "best_jit"),
        Contestant("PyTorch, DataLoader", "torch_train", "loader", "torch"),
        Contestant("PyTorch, indexed", "torch_train", "indexed", "torch"),
        Contestant("PyTorch, indexed, compiled", "torch_train", "compiled", "torch"),
        Contestant("JAX, lax.scan", "jax_scan", "", "jax"),
        Contestant("floor: bare matmuls and Adam", "floors", "step", floor=True),
    ],
}
CONTESTANTS["conv"] = [
    *CONTESTANTS["dense"][:-1],
    Contestant("floor: its arithmetic at the matmul peak", "floors", "matmul", floor=True),
]


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"{command_name.text()} benchmark throughput", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", default="dense,conv")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only the contestants whose names contain one of these words")
    parser.add_argument("--out", default="runs/benchmark", help="the folder of the JSON and the picture")
    options = parser.parse_args(argv)
    data = input_fns.find(input_fns.Request("mnist", "tfds"))
    assert data.train.images is not None
    figures: Dict[str, Dict[str, List[float]]] = {}  # by model and contestant: images/s of each round
    for model in options.model.split(","):
        words = [word for word in options.only.split(",") if word]
        chosen = [c for c in CONTESTANTS[model] if not words or any(word in c.name for word in words)]
        figures[model] = _compete(model, chosen, options.rounds, data.train.images.parent)
        print(_table(model, figures[model]), flush=True)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "throughput.json").write_text(json.dumps({"images_per_second": figures}, indent=1) + "\n")
    _draw(figures, out / "throughput.png")
    print(f"{out / 'throughput.json'}  {out / 'throughput.png'}")
    return 0


def _compete(model: str, contestants: List[Contestant], rounds: int, data_dir: Path) -> Dict[str, List[float]]:
    pythons = {c.environment: _python(c.environment) for c in contestants}
    contestants = [c for c in contestants if pythons[c.environment]]
    figures: Dict[str, List[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants:
            figure = _run(str(pythons[contestant.environment]), contestant, model, data_dir)
            if figure is None:
                continue
            figures[contestant.name].append(figure)
            say(f"{model} {number + 1}/{rounds} {contestant.name}: {figure:,.0f} images/s")
    return {name: values for name, values in figures.items() if values}


def _run(python: str, contestant: Contestant, model: str, data_dir: Path) -> Optional[float]:
    """Returns the images per second of a contestant, None if it failed."""
    peer = f"benchmarks.peers.{contestant.module}"
    command = module_command(peer, model, data_dir, contestant.variant, python=python)
    (finished,) = run_together([Program(command, environment=QUIET)], TIMEOUT_SECONDS)
    try:
        return float(json.loads(finished.stdout.splitlines()[-1])["images_per_second"])
    except (IndexError, ValueError):
        say(f"{contestant.name}: gave no figure for {model}, left out of this round")
        return None


def _python(environment: str) -> Optional[str]:
    """Returns the Python of an environment, which is made on first use; None if it cannot be made."""
    if not environment:
        return sys.executable
    requirements, folder = HERE / f"requirements-{environment}.txt", isolated_venv.place(environment, in_checkout=HERE)
    try:
        return isolated_venv.python_of(requirements, folder, say)
    except RunError as error:
        say(f"{error}: its contestants are left out")
        return None


def _table(model: str, figures: Dict[str, List[float]]) -> str:
    own_median = statistics.median(figures.get("estimator-mnist", [float("nan")]))
    rows = []
    for name, values in figures.items():
        median = statistics.median(values)
        rows.append([name, f"{median:,.0f}", spread(values, 0), len(values), f"{own_median / median:.2f}"])
    headers = [f"{model}, training", "images/s, median", "min to max", "n", "estimator-mnist is faster by"]
    return "\n" + tabulate(rows, headers, disable_numparse=True, colalign=["left", *["right"] * 4]) + "\n"


def _draw(figures_by_model: Dict[str, Dict[str, List[float]]], path: Path) -> None:
    plots = pyplot()
    size = (6.5 * len(figures_by_model), 4.2)
    figure, grid = plots.subplots(1, len(figures_by_model), figsize=size, layout="constrained", squeeze=False)
    for axes, (model, figures) in zip(grid[0], figures_by_model.items()):
        names = list(reversed(figures))
        medians = [statistics.median(figures[name]) for name in names]
        below = [median - min(figures[name]) for median, name in zip(medians, names)]
        above = [max(figures[name]) - median for median, name in zip(medians, names)]
        colors = ["C1" if name == "estimator-mnist" else "0.8" if name.startswith("floor") else "C0" for name in names]
        axes.barh(names, medians, xerr=[below, above], color=colors, ecolor="0.3")
        axes.set(title=f"{model}: training, images per second (median, min to max)")
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
