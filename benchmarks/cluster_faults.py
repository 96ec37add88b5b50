"""Kills tasks of a cluster at random moments, starts the cluster again each time, and compares the ends.

    bash run.sh benchmark cluster_faults [--kills N] [--workers W] [--ps P] [--model MODEL] [--seed S] [--folder DIR]

A task, with an evaluator among them, is killed by SIGKILL at any moment from the first to the last. The others have to
end by themselves, and the command with them; run again, it goes on. Without ps the ends must be that of the unbroken
run, to the bit; with them, the workers do not wait for each other, and the ends must be there.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from tabulate import tabulate
from tqdm import tqdm

from benchmarks.faults import checkpointed, end_of, equal, parser_of
from estimator_mnist.system.interpreter import module_command

POLL_SECONDS = 0.01
TIMEOUT_SECONDS = 300


class Killed:
    """What came of the kills of one kind of task."""

    def __init__(self) -> None:
        self.seconds: List[float] = []  # until all others had ended
        self.lost_steps = 0


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the harness and returns 0 if no run was lost, no process was left, and the ends are as they must be."""
    parser = parser_of("cluster_faults", __doc__, kills=20, train_steps=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ps", type=int, default=0)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        return _harness(options, Path(options.folder or scratch))


def _harness(options: argparse.Namespace, folder: Path) -> int:
    words = ["--workers", str(options.workers), "--ps", str(options.ps), "--evaluator", "--source", "sample"]
    words += ["--model", options.model, "--train_steps", str(options.train_steps), "--evals", str(options.evals)]
    words += ["--dropout_rate", "0.3"]
    began = time.monotonic()
    unbroken = _start(words, folder / "unbroken")
    if unbroken.wait(TIMEOUT_SECONDS):
        raise SystemExit("the unbroken run failed")
    seconds = time.monotonic() - began
    expected = end_of(folder / "unbroken")

    moments = random.Random(options.seed)
    tallies: Dict[str, Killed] = {}
    kills = runs = same = 0
    bar = tqdm(total=options.kills, unit="kill", disable=not sys.stderr.isatty())
    while kills < options.kills:
        model_dir, runs, finished = folder / f"broken-{runs}", runs + 1, False
        while not finished:
            before = checkpointed(model_dir)
            # What goes on has less before it: else most moments would come when the chief alone is left.
            left = 1.0 - 0.5 * max(before, 0) / options.train_steps
            wait = moments.uniform(0.0, left * seconds) if kills < options.kills else TIMEOUT_SECONDS
            finished, victim, took = _run_and_kill(words, model_dir, wait, moments)
            if victim:
                kills += 1
                bar.update()
                tally = tallies.setdefault(victim, Killed())
                tally.seconds.append(took)
                tally.lost_steps += max(0, before - checkpointed(model_dir))
        alike = options.ps > 0 or equal(end_of(model_dir), expected)
        same += alike
        if alike:
            shutil.rmtree(model_dir)
    bar.close()
    _show(tallies)
    print(f"{kills} kills in {runs} runs of {options.train_steps} steps, model {options.model}; no process was left")
    end = "came to their end" if options.ps else "ended equal to the unbroken one, every variable, to the bit"
    print(f"{same} of {runs} runs {end}")
    return 0 if same == runs else 1


def _show(tallies: Dict[str, Killed]) -> None:
    rows = []
    for name, tally in sorted(tallies.items()):
        median, longest = statistics.median(tally.seconds), max(tally.seconds)
        rows.append((name, len(tally.seconds), f"{median:.1f}", f"{longest:.1f}", tally.lost_steps))
    headers = ["killed", "kills", "s until all had ended: median", "longest", "checkpointed steps lost"]
    print(tabulate(rows, headers, disable_numparse=True))


def _start(words: List[str], model_dir: Path) -> "subprocess.Popen[bytes]":
    command = module_command("estimator_mnist", "cluster", *words, "--model_dir", model_dir)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _run_and_kill(
    words: List[str], model_dir: Path, wait: float, moments: random.Random
) -> Tuple[bool, Optional[str], float]:
    """Starts a cluster, kills a task, returns whether the run had finished, which task, and how long the end took."""
    process = _start(words, model_dir)
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < wait:
        time.sleep(POLL_SECONDS)
    found = _tasks(process.pid) if process.poll() is None else {}
    if not found:
        process.wait(TIMEOUT_SECONDS)  # not yet, or no more, anything to kill
        if process.returncode:
            raise SystemExit(
                f"a cluster that was started again failed with exit code {process.returncode}: {model_dir}"
            )
        return True, None, 0.0
    victim = moments.choice(sorted(found))
    killed = time.monotonic()
    os.kill(found[victim], signal.SIGKILL)
    try:
        process.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"a cluster hangs after {victim} was killed: {model_dir}") from None
    took = time.monotonic() - killed
    left = [name for name, pid in found.items() if Path(f"/proc/{pid}").exists()]
    if left:
        raise SystemExit(f"after {victim} was killed, {', '.join(left)} did not end: {model_dir}")
    return process.returncode == 0 and (model_dir / "results.json").is_file(), victim, took


def _tasks(pid: int) -> Dict[str, int]:
    """Returns the tasks of a cluster's command, {"worker/1": process}, by their TF_CONFIG; Linux only."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (path / "environ").read_bytes().split(b"\0") if parent == pid else []
        except OSError:
            continue
        for entry in environment:
            if entry.startswith(b"TF_CONFIG="):
                task = json.loads(entry[len(b"TF_CONFIG=") :])["task"]
                found[f"{task['type']}/{task['index']}"] = int(path.name)
    return found


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
