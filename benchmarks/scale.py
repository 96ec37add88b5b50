"""What more workers bring: throughput of two workers, measured, and of up to 512 workers, predicted by a model.

    bash run.sh benchmark scale [--quick] [--rounds N] [--gigabits G] [--microseconds L] [--out DIR]

Measured in turn, each process bound to its own core: one process alone at several batch sizes; two independent
processes at the same time; two workers that share a batch; and two workers that add up vectors of several sizes, by the
all-reduce of the training. The model of a step of W workers with a global batch of B:

    step(W, B) = fixed + B / W * seconds an example + allreduce(W)
    allreduce(W) = 2 (W - 1) * latency + 2 (W - 1) / W * bytes / bandwidth

The first line is fitted to the process alone. The second line is fitted to the vectors. It describes a ring, in which
each worker sends 2 (W - 1) messages of 1 / W of the gradients (Patarasuk and Yuan 2009). Together they predict the two
workers that share a batch, which checks the model. For this check the compute time of the first line is multiplied by
the slowdown of the two independent processes, because the cores of one machine share caches and memory. The model then
predicts 8, 64 and 512 workers on separate machines, for this loopback's messages and for the network that the flags
describe.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from tabulate import tabulate

from benchmarks.processes import QUIET, as_command, run_together, say, update_json
from benchmarks.scale_model import Network, Step, network_of, step_of
from estimator_mnist.cli.local_cluster import ClusterTask, local_tasks
from estimator_mnist.distribute import tf_config
from estimator_mnist.system import command_name
from estimator_mnist.system.child_processes import Program
from estimator_mnist.system.interpreter import ROOT, module_command
from input_fns import InputError

VECTOR_SIZES = (1, 25_000, 100_000, 400_000)  # in float32 values; the gradients of conv have 365,674
BATCHES = {"dense": (64, 256, 1024), "conv": (64, 128, 256)}  # of one process alone
SHARED = {"dense": (64, 1024, 8192), "conv": (128, 256, 1024)}  # of two workers; also used in the predictions
IMAGES = {"dense": (400_000, 60_000), "conv": (12_000, 6_000)}  # trained on in each run: (full, --quick)
PARAMETERS = {"dense": 101_770, "conv": 365_674}  # as the tests of the networks hold them
WORKERS = (2, 8, 64, 512)
TIMEOUT_SECONDS = 600


class Measurements(NamedTuple):
    """All measured values, one for each round, process or session call."""

    all_reduce_seconds: Dict[int, List[float]]  # by vector size
    images_per_second: Dict[Tuple[str, int, int], List[float]]  # by (model, workers, global batch)
    independent_images_per_second: Dict[str, List[float]]  # by model: each of two processes, at the second of BATCHES


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"{command_name.text()} benchmark scale", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one round of short runs, to see that it works")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gigabits", type=float, default=25.0, help="bandwidth per second of the predicted network")
    parser.add_argument("--microseconds", type=float, default=30.0, help="latency of a message in that network")
    parser.add_argument("--out", default="runs/benchmark", help="the folder of the JSON")
    options = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise InputError("benchmark scale: needs two cores, one for each process")
    measured = _measure(1 if options.quick else options.rounds, options.quick, cores[:2])
    _show_model(measured, options)
    runs = {
        f"{model}, {workers} processes, batch {batch}": speeds
        for (model, workers, batch), speeds in measured.images_per_second.items()
    }
    parts = {
        "images_per_second": runs,
        "images_per_second_apart": measured.independent_images_per_second,
        "all_reduce_seconds": measured.all_reduce_seconds,
    }
    update_json(Path(options.out) / "scale.json", parts)
    return 0


def _measure(rounds: int, quick: bool, cores: Sequence[int]) -> Measurements:
    measured = Measurements({size: [] for size in VECTOR_SIZES}, {}, {model: [] for model in BATCHES})
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for size in VECTOR_SIZES:
            measured.all_reduce_seconds[size] += _all_reduce(size, cores)
        for model in BATCHES:
            batch = BATCHES[model][1]
            speeds = _train_independently(model, batch, _steps(model, batch, quick), cores)
            measured.independent_images_per_second[model] += speeds
            for workers, batches in ((1, BATCHES[model]), (2, SHARED[model])):
                for batch in batches:
                    speed = _train(model, batch, _steps(model, batch, quick), cores[:workers])
                    measured.images_per_second.setdefault((model, workers, batch), []).append(speed)
    return measured


def _show_model(measured: Measurements, options: argparse.Namespace) -> None:
    """Fits the model to the measurements, and prints its check and its predictions."""
    medians = {size: statistics.median(seconds) for size, seconds in measured.all_reduce_seconds.items()}
    loopback = network_of(medians)
    _show_messages(measured.all_reduce_seconds, loopback)
    alone = {
        model: {batch: statistics.median(measured.images_per_second[model, 1, batch]) for batch in batches}
        for model, batches in BATCHES.items()
    }
    steps = {model: step_of(speeds) for model, speeds in alone.items()}
    slowdowns = {
        model: alone[model][BATCHES[model][1]] / statistics.median(speeds)
        for model, speeds in measured.independent_images_per_second.items()
    }
    for model, slowdown in slowdowns.items():
        print(f"{model}: each of two independent processes is {slowdown:.2f} times slower than one process alone")
    _show_check(steps, measured.images_per_second, loopback, slowdowns)
    _show_efficiency("this loopback", steps, loopback)
    network = Network(options.microseconds * 1e-6, options.gigabits * 1e9 / 8)
    title = f"a network of {options.gigabits:g} Gbit/s and {options.microseconds:g} us a message"
    _show_efficiency(title, steps, network)


def _steps(model: str, batch: int, quick: bool) -> int:
    return max(6, IMAGES[model][quick] // batch)


def _all_reduce(size: int, cores: Sequence[int]) -> List[float]:
    """Returns the seconds of an all-reduce of two workers, one value for each session call."""
    command = module_command("benchmarks.peers.all_reduce", size)
    return json.loads(_run([(task.tf_config, command) for task in _two_workers()], cores))["seconds"]


def _train(model: str, batch: int, steps: int, cores: Sequence[int]) -> float:
    """Returns the images per second of a training by one worker for each core."""
    with tempfile.TemporaryDirectory() as folder:
        command = _train_command(model, batch, steps, folder)
        if len(cores) == 1:
            _run([("", command)], cores)
        else:
            command += ["--strategy", "multi_worker"]
            _run([(task.tf_config, command) for task in _two_workers()], cores)
        return _images_per_second(folder)


def _train_independently(model: str, batch: int, steps: int, cores: Sequence[int]) -> List[float]:
    """Returns the images per second of each of two independent trainings at the same time."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = [f"{scratch}/{core}" for core in cores]
        _run([("", _train_command(model, batch, steps, folder)) for folder in folders], cores)
        return [_images_per_second(folder) for folder in folders]


def _two_workers() -> List[ClusterTask]:
    return local_tasks("multi_worker", 2, 0, False)


def _train_command(model: str, batch: int, steps: int, folder: str) -> List[str]:
    words = ["--model", model, "--batch_size", batch, "--train_steps", steps, "--evals", 1, "--model_dir", folder]
    return module_command("estimator_mnist", *words)


def _images_per_second(folder: str) -> float:
    return float(json.loads(Path(folder, "results.json").read_text())["images_per_second"])


def _run(jobs: Sequence[Tuple[str, List[str]]], cores: Sequence[int]) -> str:
    """Runs processes, (TF_CONFIG, command), each bound to one core, and returns what the first one printed."""
    programs = [
        Program(command, environment={**QUIET, tf_config.VARIABLE: config}, folder=ROOT, cores=(core,))
        for (config, command), core in zip(jobs, cores)
    ]
    outputs = [finished.check().stdout for finished in run_together(programs, TIMEOUT_SECONDS)]
    return outputs[0]


def _show_messages(all_reduce_seconds: Dict[int, List[float]], network: Network) -> None:
    rows = []
    for size, seconds in all_reduce_seconds.items():
        median, least, most = (1e3 * choose(seconds) for choose in (statistics.median, min, max))
        predicted = 1e3 * network.all_reduce(2, 4.0 * size)
        rows.append((f"{4 * size:,}", f"{median:.3f} ({least:.3f} to {most:.3f})", f"{predicted:.3f}"))
    headers = ["bytes", "ms an all-reduce of two workers, median (min to max)", "model"]
    print(tabulate(rows, headers, disable_numparse=True))
    print(f"loopback: {1e6 * network.latency:.0f} us a message, {network.bandwidth / 1e9:.2f} GB/s\n")


def _show_check(
    steps: Dict[str, Step],
    images_per_second: Dict[Tuple[str, int, int], List[float]],
    network: Network,
    slowdowns: Dict[str, float],
) -> None:
    """Prints the measured throughput beside the predicted one."""
    rows = []
    for (model, workers, batch), speeds in images_per_second.items():
        size = 4.0 * PARAMETERS[model]
        seconds = steps[model].seconds(workers, batch, network, size, slowdowns[model] if workers > 1 else 1.0)
        all_reduce_share = network.all_reduce(workers, size) / seconds if workers > 1 else 0.0
        median, predicted = statistics.median(speeds), batch / seconds
        figures = [f"{median:,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})", f"{predicted:,.0f}"]
        figures += [f"{predicted / median:.2f}", f"{100 * all_reduce_share:.0f}%"]
        rows.append((model, workers, f"{batch:,}", *figures))
    headers = ["model", "processes", "batch", "images/s, median (min to max)", "predicted", "ratio"]
    print(tabulate(rows, [*headers, "share of all-reduce"], disable_numparse=True) + "\n")


def _show_efficiency(title: str, steps: Dict[str, Step], network: Network) -> None:
    """Prints the predicted throughput of W workers divided by W times that of one worker.

    Once with a fixed global batch, and once with a fixed batch of each worker.
    """
    rows: List[Tuple[Any, ...]] = []
    for model, step in steps.items():
        size = 4.0 * PARAMETERS[model]
        for batch in SHARED[model]:
            alone = step.seconds(1, batch, network, 0.0)
            global_batch, worker_batch = [], []
            for workers in WORKERS:
                seconds = step.seconds(workers, batch, network, size)
                global_batch.append(f"{100 * alone / seconds / workers:.0f}%" if batch >= workers else "")
                worker_batch.append(f"{100 * alone / step.seconds(workers, batch * workers, network, size):.0f}%")
            rows.append((model, f"{batch:,} in total", *global_batch))
            rows.append((model, f"{batch:,} each", *worker_batch))
    print(f"Predicted for {title}: efficiency, images/s of W workers / (W * images/s of one worker)")
    print(tabulate(rows, ["model", "batch", *(f"W = {workers}" for workers in WORKERS)], disable_numparse=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
