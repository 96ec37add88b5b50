"""The commands whose words are another program's: TensorBoard, the benchmarks, the tests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import List

from estimator_mnist.system.interpreter import ROOT, module_command
from estimator_mnist.system.tensorflow_setup import quiet_tensorflow
from input_fns import InputError

BENCHMARKS = ("throughput", "job", "growth", "faults", "cluster_faults", "scale", "checkouts")


def tensorboard(words: List[str]) -> int:
    """Becomes TensorBoard on all runs, reachable from this machine only."""
    given = " ".join(words)
    defaults = [] if "--logdir" in given else ["--logdir", "runs"]
    defaults += [] if "--host" in given or "--bind_all" in given else ["--host", "127.0.0.1"]
    if defaults[:1] == ["--logdir"] and not Path("runs").is_dir():
        raise InputError("--logdir: there is no folder runs here; train first, or name the folder of your runs")
    quiet_tensorflow()
    # TensorBoard 2.15 warns at each start of a package that the lock file keeps as it needs it.
    quiet = ["-W", "ignore:pkg_resources is deprecated"]
    program, *rest = module_command("tensorboard.main", *defaults, *words)
    os.execv(program, [program, *quiet, *rest])


def benchmark(words: List[str]) -> int:
    """Becomes a benchmark by its name, throughput if none is given; further words are its own."""
    name, *rest = words if words and not words[0].startswith("-") else [BENCHMARKS[0], *words]
    if name not in BENCHMARKS:
        raise InputError(f"benchmark: there is no {name}; name one of {', '.join(BENCHMARKS)}")
    quiet_tensorflow()
    # Not as a child: at Ctrl-C it would be killed after a quarter of a second, and leave its large files behind.
    command = module_command(f"benchmarks.{name}", *rest)
    os.execv(command[0], command)


def test(words: List[str]) -> int:
    """Runs the tests, lint, format and types among them: all of them side by side, or those that the words name."""
    # Most tests wait for processes that import TensorFlow on one core. A file's tests stay in one process, in order.
    side_by_side = ["-n", "logical", "--maxprocesses", "4", "--dist", "loadfile"]
    return subprocess.call([sys.executable, "-m", "pytest", *(words or side_by_side)], cwd=ROOT)
