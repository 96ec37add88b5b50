"""The commands that hand their words to another program: TensorBoard, a benchmark, the tests."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from estimator_mnist.system.interpreter import ROOT, is_checkout, module_command
from estimator_mnist.system.tensorflow_setup import quiet_tensorflow
from input_fns import InputError

# Name -> what it measures. Each is a module of the package `benchmarks`.
BENCHMARKS: Dict[str, str] = {
    "throughput": "training throughput of this project, Keras, PyTorch and JAX: the same network, data and optimizer",
    "job": "wall time of the complete job, from process start to exit, compared with Keras",
    "growth": "time and memory as the data, the batch size and the number of epochs grow",
    "faults": "kills training runs at random moments, resumes them and compares them with an uninterrupted run",
    "cluster_faults": "kills tasks of a cluster at random moments and restarts the cluster each time",
    "scale": "throughput of two workers, measured, and of up to 512, predicted by a model",
    "checkouts": "trains the same short runs with two checkouts of the project and compares them bit by bit",
}
DEFAULT_BENCHMARK = "throughput"


def tensorboard(words: List[str]) -> int:
    """Replaces this process by TensorBoard on all runs, reachable from this machine only."""
    given = " ".join(words)
    defaults = [] if "--logdir" in given else ["--logdir", "runs"]
    defaults += [] if "--host" in given or "--bind_all" in given else ["--host", "127.0.0.1"]
    if defaults[:1] == ["--logdir"] and not Path("runs").is_dir():
        raise InputError("--logdir: there is no folder runs here; train first, or name the folder of your runs")
    quiet_tensorflow()
    # TensorBoard 2.15 warns at every start of pkg_resources, which the lock file pins to a version that still has it.
    quiet = ["-W", "ignore:pkg_resources is deprecated"]
    program, *rest = module_command("tensorboard.main", *defaults, *words)
    os.execv(program, [program, *quiet, *rest])


def benchmark(words: List[str]) -> int:
    """Replaces this process by the benchmark that the first word names; the other words are the benchmark's flags."""
    name, *rest = words if words and not words[0].startswith("-") else [DEFAULT_BENCHMARK, *words]
    if name not in BENCHMARKS:
        raise InputError(f"benchmark: there is no benchmark {name}; the benchmarks are {', '.join(BENCHMARKS)}")
    quiet_tensorflow()
    # Not a child process: Ctrl-C would kill it after a quarter of a second, before it deletes its large files.
    command = module_command(f"benchmarks.{name}", *rest)
    os.execv(command[0], command)


def test(words: List[str]) -> int:
    """Runs all tests in parallel, or those that the words name. Lint, format and types are among them.

    Raises:
        InputError: There are no tests here, or nothing to run them with.
    """
    if not (is_checkout() and (ROOT / "tests").is_dir()):
        raise InputError("test: the package holds no tests; clone the project, and run bash run.sh test there")
    if not importlib.util.find_spec("pytest"):
        raise InputError(
            "test: pytest is not installed here; run bash run.sh test, which installs it, or uv run --extra test "
            "estimator-mnist test, or pip install -e '.[test]'"
        )
    # Most tests wait for processes that import TensorFlow on one core: one worker more than there are cores, at most
    # four, for the memory that each takes. The tests of a file share a worker, in order.
    workers = min(4, (os.cpu_count() or 1) + 1)
    in_parallel = ["-n", str(workers), "--dist", "loadfile"]
    # pyproject.toml names the folder of the tests. Without -c, pytest would look for settings above the words' folders.
    settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    return subprocess.call([sys.executable, "-m", "pytest", *settings, *(words or in_parallel)], cwd=ROOT)
