"""Training throughput of this project and its peers: the same network, batch size, optimizer and data, in one run.

    bash run.sh benchmark throughput [--model dense,conv] [--rounds N] [--only NAME,NAME] [--out DIR]

Every contestant is a process of its own, one after the other in turn, round by round. The peers that TensorFlow's
environment cannot hold get their own on first use (benchmarks/requirements-*.txt); where one cannot be made, that peer
is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from tabulate import tabulate

import input_fns
from benchmarks.processes import as_command, pyplot, say, spread
from estimator_mnist.export import isolated_venv
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.interpreter import module_command

HERE = Path(__file__).resolve().parent
TIMEOUT_SECONDS = 300


class Contestant(NamedTuple):
    name: str
    module: str
    variant: str = ""
    environment: str = ""  # of benchmarks/requirements-*.txt; "" for the project's own
    floor: bool = False


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
        prog="bash run.sh benchmark throughput", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", default="dense,conv")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="contestants whose name contains one of these words")
    parser.add_argument("--out", default="runs/benchmark", help="where the JSON and the picture go")
    options = parser.parse_args(argv)
    data = input_fns.find("mnist", "tfds")
    assert data.train.images is not None
    found: Dict[str, Dict[str, List[float]]] = {}
    for model in options.model.split(","):
        words = [word for word in options.only.split(",") if word]
        chosen = [c for c in CONTESTANTS[model] if not words or any(word in c.name for word in words)]
        found[model] = _compete(model, chosen, options.rounds, data.train.images.parent)
        print(_table(model, found[model]), flush=True)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "throughput.json").write_text(json.dumps({"images_per_second": found}, indent=1) + "\n")
    _draw(found, out / "throughput.png")
    print(f"{out / 'throughput.json'}  {out / 'throughput.png'}")
    return 0


def _compete(model: str, contestants: List[Contestant], rounds: int, idx_dir: Path) -> Dict[str, List[float]]:
    pythons = {c.environment: _python(c.environment) for c in contestants}
    contestants = [c for c in contestants if pythons[c.environment]]
    figures: Dict[str, List[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        for contestant in contestants:
            figure = _run(str(pythons[contestant.environment]), contestant, model, idx_dir)
            if figure is None:
                continue
            figures[contestant.name].append(figure)
            say(f"{model} {number + 1}/{rounds} {contestant.name}: {figure:,.0f} images/s")
    return {name: values for name, values in figures.items() if values}


def _run(python: str, contestant: Contestant, model: str, idx_dir: Path) -> Optional[float]:
    peer = f"benchmarks.peers.{contestant.module}"
    words = module_command(peer, model, idx_dir, contestant.variant, python=python)
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        return float(json.loads(done.stdout.splitlines()[-1])["images_per_second"])
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        say(f"{contestant.name}: gave no figure for {model}, left out of this round")
        return None


def _python(environment: str) -> Optional[str]:
    """Returns the Python of an environment, made on first use; None where it cannot be made."""
    if not environment:
        return sys.executable
    requirements, folder = HERE / f"requirements-{environment}.txt", HERE / f".venv-{environment}"
    try:
        return isolated_venv.python_of(requirements, folder, say)
    except RunError as error:
        say(f"{error}: its peers are left out")
        return None


def _table(model: str, figures: Dict[str, List[float]]) -> str:
    own = statistics.median(figures.get("estimator-mnist", [float("nan")]))
    rows = []
    for name, values in figures.items():
        middle = statistics.median(values)
        rows.append([name, f"{middle:,.0f}", spread(values, 0), len(values), f"{own / middle:.2f}"])
    headers = [f"{model}, training", "images/s, median", "min to max", "n", "estimator-mnist is faster by"]
    return "\n" + tabulate(rows, headers, disable_numparse=True, colalign=["left", *["right"] * 4]) + "\n"


def _draw(found: Dict[str, Dict[str, List[float]]], path: Path) -> None:
    plots = pyplot()
    figure, grid = plots.subplots(1, len(found), figsize=(6.5 * len(found), 4.2), layout="constrained", squeeze=False)
    for axes, (model, figures) in zip(grid[0], found.items()):
        names = list(reversed(figures))
        middles = [statistics.median(figures[name]) for name in names]
        below = [middle - min(figures[name]) for middle, name in zip(middles, names)]
        above = [max(figures[name]) - middle for middle, name in zip(middles, names)]
        colors = ["C1" if name == "estimator-mnist" else "0.8" if name.startswith("floor") else "C0" for name in names]
        axes.barh(names, middles, xerr=[below, above], color=colors, ecolor="0.3")
        axes.set(title=f"{model}: training, images per second (median, min to max)")
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
