"""Kills training runs at random moments, resumes them each time, and compares them with an uninterrupted run.

    bash run.sh benchmark faults [--kills N] [--model MODEL] [--seed S] [--folder DIR]

A quarter of the kills each comes at any time, while a checkpoint is being written, during an evaluation, and at the
end, while the results are being written. A run that reaches its end is compared, and the next run begins.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from estimator_mnist.system import command_name
from estimator_mnist.system.child_processes import DISCARD, INHERIT, Child, ChildProcesses, Program
from estimator_mnist.system.interpreter import module_command

MOMENTS = ("any time", "checkpoint", "evaluation", "end")
COMPARED = ("untrained", "train_loss", "final", "best", "global_step")  # keys of results.json
POLL_SECONDS = 0.001
TIMEOUT_SECONDS = 300


class Tally:
    """The effects of the kills at one kind of moment."""

    def __init__(self) -> None:
        self.kills = self.lost_steps = 0


class Attempt(NamedTuple):
    """How a run, started or resumed once, ended."""

    finished: bool
    killed: bool


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the benchmark and returns 0 if every run ended equal to the uninterrupted one, to the bit."""
    options = harness_parser("faults", __doc__, kills=100, train_steps=600).parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch, ChildProcesses[str]() as children:
        return _Harness(options, Path(options.folder or scratch), children).run()


def harness_parser(name: str, docstring: Optional[str], kills: int, train_steps: int) -> argparse.ArgumentParser:
    """Returns the parser of a benchmark that kills runs.

    Args:
        name: The benchmark's name.
        docstring: The docstring of its module, whose first line is the description.
        kills: The default of --kills.
        train_steps: The default of --train_steps.
    """
    parser = argparse.ArgumentParser(
        prog=f"{command_name.text()} benchmark {name}", description=(docstring or "").split("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--train_steps", type=int, default=train_steps)
    parser.add_argument("--evals", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--folder", default=None, help="where the runs live; default: a temporary folder")
    return parser


class _Harness:
    def __init__(self, options: argparse.Namespace, folder: Path, children: "ChildProcesses[str]"):
        self._options, self._folder, self._children = options, folder, children
        self._flags = ["--source", "sample", "--model", options.model, "--train_steps", str(options.train_steps)]
        self._flags += ["--evals", str(options.evals), "--dropout_rate", "0.3"]
        self._random = random.Random(options.seed)
        self._tallies = {moment: Tally() for moment in MOMENTS}
        self._uninterrupted_seconds = 0.0
        self._kills = 0
        self._bar = tqdm(total=options.kills, unit="kill", disable=not sys.stderr.isatty())

    def run(self) -> int:
        uninterrupted = self._start(self._folder / "unbroken")
        uninterrupted.wait(TIMEOUT_SECONDS)
        self._uninterrupted_seconds = uninterrupted.seconds
        expected = end_of(self._folder / "unbroken")
        runs = equal_runs = 0
        while self._kills < self._options.kills:
            model_dir = self._folder / f"broken-{runs}"
            runs += 1
            while not self._attempt(model_dir).finished:
                pass
            if is_equal(end_of(model_dir), expected):
                equal_runs += 1
                shutil.rmtree(model_dir)
        self._bar.close()
        rows = [(moment, tally.kills, tally.lost_steps) for moment, tally in self._tallies.items()]
        rows.append(("all", self._kills, sum(tally.lost_steps for tally in self._tallies.values())))
        print(tabulate(rows, ["killed", "kills", "checkpointed steps lost"]))
        print(f"{self._kills} kills in {runs} runs of {self._options.train_steps} steps, model {self._options.model}")
        print(f"{equal_runs} of {runs} runs ended equal to the uninterrupted one, variables and figures, to the bit")
        return 0 if equal_runs == runs else 1

    def _attempt(self, model_dir: Path) -> Attempt:
        """Starts or resumes a run, kills it at the next kind of moment, and tallies the kill."""
        if self._kills == self._options.kills:
            self._check(self._start(model_dir), model_dir)
            return Attempt(finished=True, killed=False)
        moment = MOMENTS[self._kills % len(MOMENTS)]
        step_before = newest_step(model_dir)
        attempt = self._run_and_kill(model_dir, moment)
        if attempt.killed:
            self._kills += 1
            self._bar.update()
            self._tallies[moment].kills += 1
            # A kill may cost the steps since the newest checkpoint, but never that checkpoint.
            self._tallies[moment].lost_steps += max(0, step_before - newest_step(model_dir))
        return attempt

    def _start(self, model_dir: Path) -> Child:
        command = module_command("estimator_mnist", *self._flags, "--model_dir", model_dir)
        return self._children.start("run", Program(command, DISCARD, INHERIT))

    def _check(self, child: Child, model_dir: Path) -> None:
        if child.wait(TIMEOUT_SECONDS):
            raise SystemExit(f"a resumed run failed with exit code {child.exit_code}: {model_dir}")

    def _run_and_kill(self, model_dir: Path, moment: str) -> Attempt:
        child = self._start(model_dir)
        began, first_step = time.monotonic(), newest_step(model_dir)
        at_any_time = moment == "any time"
        delay = self._random.uniform(0.0, self._uninterrupted_seconds if at_any_time else 0.3)
        moment_time: Optional[float] = began if at_any_time else None
        while child.poll() is None:
            now = time.monotonic()
            if now - began > TIMEOUT_SECONDS:
                child.kill()
                raise SystemExit(f"a run hangs: {model_dir}")
            if moment_time is None and _has_come(moment, model_dir, first_step):
                # A checkpoint is written within milliseconds. An evaluation takes some tenths of a second.
                moment_time, delay = now, delay / 30 if moment == "checkpoint" else delay
            if moment_time is not None and now - moment_time >= delay:
                child.send_signal(signal.SIGKILL)
                child.wait()
                return Attempt((model_dir / "results.json").is_file(), killed=True)
            time.sleep(POLL_SECONDS)
        self._check(child, model_dir)
        return Attempt(finished=True, killed=False)


def _has_come(moment: str, model_dir: Path, first_step: int) -> bool:
    if moment == "checkpoint":
        return any(model_dir.glob("model.ckpt-*_temp"))
    step = newest_step(model_dir)
    if moment == "evaluation":
        return step > first_step
    train_steps = json.loads((model_dir / "experiment.json").read_text())["train_steps"] if step > 0 else 0
    return 0 < train_steps <= step


def newest_step(model_dir: Path) -> int:
    """Returns the step of the newest checkpoint by the names of files, -1 if there is none."""
    return max((int(path.stem.split("-")[1]) for path in model_dir.glob("model.ckpt-*.index")), default=-1)


def end_of(model_dir: Path) -> Dict[str, object]:
    """Returns every variable of the last checkpoint as bytes, and the COMPARED figures of results.json."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(model_dir))
    end: Dict[str, object] = {}
    for name in reader.get_variable_to_shape_map():
        end[name] = np.asarray(reader.get_tensor(name)).tobytes()
    results = json.loads((model_dir / "results.json").read_text())
    end.update((f"results.json {key}", results[key]) for key in COMPARED)
    return end


def differences(end: Dict[str, object], expected: Dict[str, object]) -> List[str]:
    """Returns the names of the variables and figures in which two values of `end_of` differ."""
    return sorted(name for name in {**end, **expected} if end.get(name) != expected.get(name))


def is_equal(end: Dict[str, object], expected: Dict[str, object]) -> bool:
    """Returns whether two values of `end_of` are equal, and prints what differs."""
    different = differences(end, expected)
    if different:
        print("different:", ", ".join(different), file=sys.stderr)
    return not different


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
