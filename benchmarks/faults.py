"""Kills training runs at random moments, starts them again each time, and compares their ends with an unbroken run.

    bash run.sh benchmark faults [--kills N] [--model MODEL] [--seed S] [--folder DIR]

A quarter of the kills each comes at any time, while a checkpoint is being written, during an evaluation, and at the
end, while results are being made. A run that has come to its end is compared, and the next one begins.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from estimator_mnist.system.interpreter import module_command

MOMENTS = ("any time", "checkpoint", "evaluation", "end")
COMPARED = ("untrained", "train_loss", "final", "best", "global_step")
POLL_SECONDS = 0.001
TIMEOUT_SECONDS = 300


class Tally:
    """What came of the kills of one kind of moment."""

    def __init__(self) -> None:
        self.kills = self.lost_steps = 0


def main(argv: Optional[List[str]] = None) -> int:
    """Runs the harness and returns 0 if every run ended equal to the unbroken one, to the bit."""
    options = parser_of("faults", __doc__, kills=100, train_steps=600).parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        return _harness(options, Path(options.folder or scratch))


def parser_of(name: str, text: Optional[str], kills: int, train_steps: int) -> argparse.ArgumentParser:
    """Returns the flags of a harness: its name, its module's docstring, and the defaults of two of them."""
    parser = argparse.ArgumentParser(prog=f"bash run.sh benchmark {name}", description=(text or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--model", default="dense")
    parser.add_argument("--train_steps", type=int, default=train_steps)
    parser.add_argument("--evals", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", default=None, help="where the runs live; default: a temporary folder")
    return parser


def _harness(options: argparse.Namespace, folder: Path) -> int:
    flags = ["--source", "sample", "--model", options.model, "--train_steps", str(options.train_steps)]
    flags += ["--evals", str(options.evals), "--dropout_rate", "0.3"]
    unbroken = folder / "unbroken"
    began = time.monotonic()
    _start(flags, unbroken).wait(TIMEOUT_SECONDS)
    seconds = time.monotonic() - began
    expected = end_of(unbroken)

    moments = random.Random(options.seed)
    tallies = {moment: Tally() for moment in MOMENTS}
    runs = alike = kills = 0
    bar = tqdm(total=options.kills, unit="kill", disable=not sys.stderr.isatty())
    while kills < options.kills:
        model_dir, finished = folder / f"broken-{runs}", False
        runs += 1
        while not finished:
            if kills < options.kills:
                moment = MOMENTS[kills % len(MOMENTS)]
                before = checkpointed(model_dir)
                finished, killed = _run_and_kill(flags, model_dir, moment, moments, seconds)
                if killed:
                    kills += 1
                    bar.update()
                    tallies[moment].kills += 1
                    # What a kill may cost is the way back to the newest checkpoint, never that checkpoint.
                    tallies[moment].lost_steps += max(0, before - checkpointed(model_dir))
            else:
                process = _start(flags, model_dir)
                process.wait(TIMEOUT_SECONDS)
                if process.returncode:
                    raise SystemExit(f"a run that was started again failed: {model_dir}")
                finished = True
        same = equal(end_of(model_dir), expected)
        alike += same
        if same:
            shutil.rmtree(model_dir)
    bar.close()
    rows = [(moment, tally.kills, tally.lost_steps) for moment, tally in tallies.items()]
    rows.append(("all", kills, sum(tally.lost_steps for tally in tallies.values())))
    print(tabulate(rows, ["killed", "kills", "checkpointed steps lost"]))
    print(f"{kills} kills in {runs} runs of {options.train_steps} steps, model {options.model}")
    print(f"{alike} of {runs} runs ended equal to the unbroken one, every variable and figure, to the bit")
    return 0 if alike == runs else 1


def _start(flags: List[str], model_dir: Path) -> "subprocess.Popen[bytes]":
    words = module_command("estimator_mnist", *flags, "--model_dir", model_dir)
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=None)


def _run_and_kill(
    flags: List[str], model_dir: Path, moment: str, moments: random.Random, seconds: float
) -> "tuple[bool, bool]":
    """Starts a run, kills it at the moment, and returns whether it had finished and whether it was killed."""
    process = _start(flags, model_dir)
    began, first = time.monotonic(), checkpointed(model_dir)
    wait = moments.uniform(0.0, seconds) if moment == "any time" else moments.uniform(0.0, 0.3)
    after: Optional[float] = began if moment == "any time" else None  # when the moment came
    while process.poll() is None:
        now = time.monotonic()
        if now - began > TIMEOUT_SECONDS:
            process.kill()
            raise SystemExit(f"a run hangs: {model_dir}")
        if after is None and _has_come(moment, model_dir, first):
            # A checkpoint is written within milliseconds, an evaluation takes some tenths of a second.
            after, wait = now, wait / 30 if moment == "checkpoint" else wait
        if after is not None and now - after >= wait:
            process.kill()
            process.wait()
            return (model_dir / "results.json").is_file(), True
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"a run that was started again failed with exit code {process.returncode}: {model_dir}")
    return True, False


def _has_come(moment: str, model_dir: Path, first: int) -> bool:
    if moment == "checkpoint":
        return any(model_dir.glob("model.ckpt-*_temp"))
    newest = checkpointed(model_dir)
    if moment == "evaluation":
        return newest > first
    planned = json.loads((model_dir / "experiment.json").read_text())["train_steps"] if newest > 0 else 0
    return 0 < planned <= newest


def checkpointed(model_dir: Path) -> int:
    """Returns the step of the newest checkpoint by the names of files, -1 if there is none."""
    return max((int(path.stem.split("-")[1]) for path in model_dir.glob("model.ckpt-*.index")), default=-1)


def end_of(model_dir: Path) -> Dict[str, object]:
    """Returns every variable of the last checkpoint as bytes, and the figures of results.json."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(model_dir))
    end: Dict[str, object] = {}
    for name in reader.get_variable_to_shape_map():
        end[name] = np.asarray(reader.get_tensor(name)).tobytes()
    results = json.loads((model_dir / "results.json").read_text())
    end.update((f"results.json {key}", results[key]) for key in COMPARED)
    return end


def equal(found: Dict[str, object], expected: Dict[str, object]) -> bool:
    different = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    if different:
        print("different:", ", ".join(different), file=sys.stderr)
    return not different


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
