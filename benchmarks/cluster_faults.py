"""Kills tasks of a cluster at random moments and restarts the cluster each time, then compares the final results.

    bash run.sh benchmark cluster_faults [--kills N] [--workers W] [--ps P] [--model MODEL] [--seed S] [--folder DIR]

Any task, the evaluator included, is killed by SIGKILL at any moment of the run. The other tasks have to end by
themselves, and the command with them. The same command then resumes the run. Without parameter servers the final
checkpoint must equal that of an uninterrupted run, to the bit. With parameter servers, the workers do not wait for each
other, so the run must reach its end, but its checkpoint may differ.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from tabulate import tabulate
from tqdm import tqdm

from benchmarks.faults import end_of, harness_parser, is_equal, newest_step
from estimator_mnist.system.child_processes import Child, ChildProcesses, Program
from estimator_mnist.system.interpreter import module_command

POLL_SECONDS = 0.01
TIMEOUT_SECONDS = 300


class Tally:
    """The effects of the kills of one task."""

    def __init__(self) -> None:
        self.seconds: List[float] = []  # from each kill until all other tasks had ended
        self.lost_steps = 0


class Attempt(NamedTuple):
    """How a cluster, started or restarted once, ended."""

    finished: bool
    killed_task: Optional[str] = None
    seconds: float = 0.0  # from the kill until all other tasks had ended


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the benchmark and returns 0 if no run was lost, no process was left, and the final results are right."""
    parser = harness_parser("cluster_faults", __doc__, kills=20, train_steps=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ps", type=int, default=0, help="number of parameter servers")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch, ChildProcesses[str]() as children:
        return _Harness(options, Path(options.folder or scratch), children).run()


class _Harness:
    def __init__(self, options: argparse.Namespace, folder: Path, children: "ChildProcesses[str]"):
        self._options, self._folder, self._children = options, folder, children
        self._flags = ["--workers", str(options.workers), "--ps", str(options.ps), "--evaluator", "--source", "sample"]
        self._flags += ["--model", options.model, "--train_steps", str(options.train_steps)]
        self._flags += ["--evals", str(options.evals), "--dropout_rate", "0.3"]
        self._random = random.Random(options.seed)
        self._tallies: Dict[str, Tally] = {}
        self._uninterrupted_seconds = 0.0
        self._kills = 0
        self._bar = tqdm(total=options.kills, unit="kill", disable=not sys.stderr.isatty())

    def run(self) -> int:
        uninterrupted = self._start(self._folder / "unbroken")
        if uninterrupted.wait(TIMEOUT_SECONDS):
            raise SystemExit("the uninterrupted run failed")
        self._uninterrupted_seconds = uninterrupted.seconds
        expected = end_of(self._folder / "unbroken")
        runs = good_runs = 0
        while self._kills < self._options.kills:
            model_dir = self._folder / f"broken-{runs}"
            runs += 1
            while not self._attempt(model_dir).finished:
                pass
            if self._options.ps > 0 or is_equal(end_of(model_dir), expected):
                good_runs += 1
                shutil.rmtree(model_dir)
        self._bar.close()
        self._show(runs, good_runs)
        return 0 if good_runs == runs else 1

    def _attempt(self, model_dir: Path) -> Attempt:
        """Starts or restarts a cluster, kills one of its tasks at a random moment, and tallies the kill."""
        step_before = newest_step(model_dir)
        # A resumed run is shorter. With moments of the full length, most kills would come when only the chief is left.
        remaining_share = 1.0 - 0.5 * max(step_before, 0) / self._options.train_steps
        is_last = self._kills == self._options.kills
        delay = self._random.uniform(0.0, remaining_share * self._uninterrupted_seconds)
        attempt = self._run_and_kill(model_dir, TIMEOUT_SECONDS if is_last else delay)
        if attempt.killed_task:
            self._kills += 1
            self._bar.update()
            tally = self._tallies.setdefault(attempt.killed_task, Tally())
            tally.seconds.append(attempt.seconds)
            tally.lost_steps += max(0, step_before - newest_step(model_dir))
        return attempt

    def _start(self, model_dir: Path) -> Child:
        command = module_command("estimator_mnist", "cluster", *self._flags, "--model_dir", model_dir)
        return self._children.start("cluster", Program(command))

    def _run_and_kill(self, model_dir: Path, delay: float) -> Attempt:
        cluster = self._start(model_dir)
        began = time.monotonic()
        while cluster.poll() is None and time.monotonic() - began < delay:
            time.sleep(POLL_SECONDS)
        pids = _task_processes(cluster.pid) if cluster.poll() is None else {}
        if not pids:  # the tasks have not started yet, or have all ended
            if cluster.wait(TIMEOUT_SECONDS):
                raise SystemExit(f"a restarted cluster failed with exit code {cluster.exit_code}: {model_dir}")
            return Attempt(finished=True)
        victim = self._random.choice(sorted(pids))
        kill_time = time.monotonic()
        os.kill(pids[victim], signal.SIGKILL)
        exit_code = cluster.wait(TIMEOUT_SECONDS)
        if cluster.timed_out:
            raise SystemExit(f"a cluster hangs after {victim} was killed: {model_dir}")
        seconds = time.monotonic() - kill_time
        left = [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]
        if left:
            raise SystemExit(f"after {victim} was killed, {', '.join(left)} did not end: {model_dir}")
        return Attempt(exit_code == 0 and (model_dir / "results.json").is_file(), victim, seconds)

    def _show(self, runs: int, good_runs: int) -> None:
        rows = []
        for name, tally in sorted(self._tallies.items()):
            median, longest = statistics.median(tally.seconds), max(tally.seconds)
            rows.append((name, len(tally.seconds), f"{median:.1f}", f"{longest:.1f}", tally.lost_steps))
        headers = ["killed", "kills", "s until all had ended: median", "longest", "checkpointed steps lost"]
        print(tabulate(rows, headers, disable_numparse=True))
        options = self._options
        print(f"{self._kills} kills in {runs} runs of {options.train_steps} steps, model {options.model}")
        print("no process was left")
        end = "reached their end" if options.ps else "ended equal to the uninterrupted one, every variable, to the bit"
        print(f"{good_runs} of {runs} runs {end}")


def _task_processes(pid: int) -> Dict[str, int]:
    """Returns the process ids of the tasks of a cluster's command, {"worker/1": id}, by their TF_CONFIG; Linux only."""
    pids = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (path / "environ").read_bytes().split(b"\0") if parent == pid else []
        except OSError:
            continue
        for entry in environment:
            if entry.startswith(b"TF_CONFIG="):
                task = json.loads(entry[len(b"TF_CONFIG=") :])["task"]
                pids[f"{task['type']}/{task['index']}"] = int(path.name)
    return pids


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
