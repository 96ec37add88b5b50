"""What more processes bring: measured for two with a core each, and foretold for many by a model of a step.

    bash run.sh benchmark scale [--quick] [--rounds N] [--gigabits G] [--microseconds L] [--out DIR]

Measured, in turn, each process bound to a core of its own: one process alone at several batch sizes; two at the same
time that have nothing to do with each other; two that share a batch; and two that add up vectors of several sizes, by
the all-reduce of the training. The model:

    step(W, B) = fixed + B / W * seconds an example + allreduce(W)
    allreduce(W) = 2 (W - 1) * latency + 2 (W - 1) / W * bytes / bandwidth

The first line is fitted to the process alone, the second (a ring: each sends 2 (W - 1) messages of 1 / W of the
gradients; Patarasuk and Yuan 2009) to the vectors. Together they foretell the two processes that share a batch, which
is checked: there the first line is multiplied by what the two apart are slower than the one, for cores of one machine
share caches and memory. And they foretell 8, 64 and 512 processes with machines of their own, over messages as this
loopback's and over the network that the flags describe.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from tabulate import tabulate

from benchmarks.processes import ROOT, as_command, say, update_json
from benchmarks.scale_model import Network, Step, network_of, step_of
from estimator_mnist.cli.local_cluster import Place, places
from estimator_mnist.system.interpreter import module_command
from input_fns import InputError

SIZES = (1, 25_000, 100_000, 400_000)  # float32 of a vector; the gradients of conv are 365,674
BATCHES = {"dense": (64, 256, 1024), "conv": (64, 128, 256)}  # of the process alone
SHARED = {"dense": (64, 1024, 8192), "conv": (128, 256, 1024)}  # of two processes; the model's tables take these, too
IMAGES = {"dense": (400_000, 60_000), "conv": (12_000, 6_000)}  # trained on in each run, (full, quick)
PARAMETERS = {"dense": 101_770, "conv": 365_674}  # as tests/test_networks.py holds them
WORKERS = (2, 8, 64, 512)
TIMEOUT_SECONDS = 600


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="bash run.sh benchmark scale", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of short runs, to see that it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabits", type=float, default=25.0, help="a second, of the network foretold")
    parser.add_argument("--microseconds", type=float, default=30.0, help="a message takes there")
    parser.add_argument("--out", default="runs/benchmark", help="where the JSON goes")
    options = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise InputError("benchmark scale: needs two cores, one for each process")
    rounds = 1 if options.quick else options.rounds
    reduced: Dict[int, List[float]] = {size: [] for size in SIZES}
    speeds: Dict[Tuple[str, int, int], List[float]] = {}  # (model, workers, batch): images a second
    apart: Dict[str, List[float]] = {model: [] for model in BATCHES}  # of each of two, at the second of BATCHES
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for size in SIZES:
            reduced[size] += _all_reduce(size, cores)
        for model in BATCHES:
            batch = BATCHES[model][1]
            apart[model] += _apart(model, batch, _steps(model, batch, options.quick), cores[:2])
            for workers, batches in ((1, BATCHES[model]), (2, SHARED[model])):
                for batch in batches:
                    found = _train(model, batch, _steps(model, batch, options.quick), cores[:workers])
                    speeds.setdefault((model, workers, batch), []).append(found)
    loopback = network_of({size: statistics.median(seconds) for size, seconds in reduced.items()})
    _show_messages(reduced, loopback)
    network = Network(options.microseconds * 1e-6, options.gigabits * 1e9 / 8)
    alone = {
        model: {batch: statistics.median(speeds[model, 1, batch]) for batch in batches}
        for model, batches in BATCHES.items()
    }
    models = {model: step_of(found) for model, found in alone.items()}
    slower = {model: alone[model][BATCHES[model][1]] / statistics.median(found) for model, found in apart.items()}
    for model, times in slower.items():
        print(f"{model}: two processes apart are {times:.2f} times slower than one, each")
    _show_check(models, speeds, loopback, slower)
    for title, used in (("this loopback", loopback), (_described(options), network)):
        _show_efficiency(title, models, used)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    measured = {
        f"{model}, {workers} processes, batch {batch}": found for (model, workers, batch), found in speeds.items()
    }
    parts = {"images_per_second": measured, "images_per_second_apart": apart, "all_reduce_seconds": reduced}
    update_json(out / "scale.json", parts)
    return 0


def _described(options: argparse.Namespace) -> str:
    return f"a network of {options.gigabits:g} Gbit/s and {options.microseconds:g} us a message"


def _steps(model: str, batch: int, quick: bool) -> int:
    return max(6, IMAGES[model][quick] // batch)


def _all_reduce(size: int, cores: Sequence[int]) -> List[float]:
    words = module_command("benchmarks.peers.all_reduce", size)
    return json.loads(_run([(place.config, words) for place in _pair()], cores))["seconds"]


def _train(model: str, batch: int, steps: int, cores: Sequence[int]) -> float:
    """Returns the images a second of a training by as many processes as there are cores for."""
    with tempfile.TemporaryDirectory() as folder:
        words = _words(model, batch, steps, folder)
        if len(cores) == 1:
            _run([("", words)], cores)
        else:
            _run([(place.config, [*words, "--strategy", "multi_worker"]) for place in _pair()], cores)
        return _images_per_second(folder)


def _apart(model: str, batch: int, steps: int, cores: Sequence[int]) -> List[float]:
    """Returns the images a second of two trainings at the same time."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [f"{scratch}/{core}" for core in cores]
        _run([("", _words(model, batch, steps, folder)) for folder in folders], cores)
        return [_images_per_second(folder) for folder in folders]


def _pair() -> List[Place]:
    return places("multi_worker", 2, 0, False)


def _words(model: str, batch: int, steps: int, folder: str) -> List[str]:
    words = ["--model", model, "--batch_size", batch, "--train_steps", steps, "--evals", 1, "--model_dir", folder]
    return module_command("estimator_mnist", *words)


def _images_per_second(folder: str) -> float:
    return float(json.loads(Path(folder, "results.json").read_text())["images_per_second"])


def _run(jobs: Sequence[Tuple[str, List[str]]], cores: Sequence[int]) -> str:
    """Runs processes, (TF_CONFIG, words), each bound to a core of its own, and returns what the first one printed."""
    processes = []
    for (config, words), core in zip(jobs, cores):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": config}
        processes.append(
            subprocess.Popen(
                words,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=functools.partial(os.sched_setaffinity, 0, [core]),
            )
        )
    outputs = [process.communicate(timeout=TIMEOUT_SECONDS) for process in processes]
    for process, (_, errors) in zip(processes, outputs):
        if process.returncode:
            raise SystemExit(f"{' '.join(jobs[0][1])}: exit code {process.returncode}\n{errors[-2000:]}")
    return outputs[0][0]


def _show_messages(reduced: Dict[int, List[float]], network: Network) -> None:
    rows = []
    for size, seconds in reduced.items():
        foretold = network.all_reduce(2, 4.0 * size)
        middle, least, most = statistics.median(seconds), min(seconds), max(seconds)
        rows.append(
            (f"{4 * size:,}", f"{1e3 * middle:.3f} ({1e3 * least:.3f} to {1e3 * most:.3f})", f"{1e3 * foretold:.3f}")
        )
    print(tabulate(rows, ["bytes", "ms an all-reduce of two, median (min to max)", "model"], disable_numparse=True))
    print(f"loopback: {1e6 * network.latency:.0f} us a message, {network.bandwidth / 1e9:.2f} GB/s\n")


def _show_check(
    steps: Dict[str, Step], speeds: Dict[Tuple[str, int, int], List[float]], network: Network, slower: Dict[str, float]
) -> None:
    rows = []
    for (model, workers, batch), found in speeds.items():
        size = 4.0 * PARAMETERS[model]
        seconds = steps[model].seconds(workers, batch, network, size, slower[model] if workers > 1 else 1.0)
        share = network.all_reduce(workers, size) / seconds if workers > 1 else 0.0
        middle = statistics.median(found)
        rows.append(
            (
                model,
                workers,
                f"{batch:,}",
                f"{middle:,.0f} ({min(found):,.0f} to {max(found):,.0f})",
                f"{batch / seconds:,.0f}",
                f"{batch / seconds / middle:.2f}",
                f"{100 * share:.0f}%",
            )
        )
    headers = [
        "model",
        "processes",
        "batch",
        "images/s, median (min to max)",
        "foretold",
        "ratio",
        "all-reduce's share",
    ]
    print(tabulate(rows, headers, disable_numparse=True) + "\n")


def _show_efficiency(title: str, steps: Dict[str, Step], network: Network) -> None:
    """Prints the images a second of W processes as a share of W times those of one, at one batch in all, and each."""
    rows: List[Tuple[Any, ...]] = []
    for model, step in steps.items():
        size = 4.0 * PARAMETERS[model]
        for batch in SHARED[model]:
            alone = step.seconds(1, batch, network, 0.0)
            shared, grown = [], []
            for workers in WORKERS:
                same = step.seconds(workers, batch, network, size)
                shared.append(f"{100 * alone / same / workers:.0f}%" if batch >= workers else "")
                grown.append(f"{100 * alone / step.seconds(workers, batch * workers, network, size):.0f}%")
            rows.append((model, f"{batch:,} in all", *shared))
            rows.append((model, f"{batch:,} each", *grown))
    print(f"Foretold over {title}: efficiency, images a second of W processes by W times those of one")
    print(tabulate(rows, ["model", "batch", *(f"W = {workers}" for workers in WORKERS)], disable_numparse=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
