"""Runs that several processes share: what they learn, how they end, and what is left when one is lost."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
import tensorflow as tf
from support import launch

from estimator_mnist.model_dir import event_files

# 16 steps an epoch, each of them logged: dropout and distortions have to be those of the whole batch, too.
STEPS = ["--source", "sample", "--model", "lenet5", "--batch_size", "250", "--augment", "affine"]
STEPS += ["--train_steps", "24", "--evals", "2", "--iterations_per_loop", "1", "--seed", "5"]
# Long enough to be stopped in the middle, in blocks of many steps.
LONG = ["--source", "sample", "--model", "dense", "--train_steps", "6000", "--evals", "6", "--dropout_rate", "0.3"]


def losses(model_dir: Path) -> np.ndarray:
    found = event_files.scalars(model_dir)["loss"]
    return np.array([found[step] for step in sorted(found)])


def variables(model_dir: Path) -> Dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(model_dir))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def results(model_dir: Path) -> Dict[str, object]:
    return json.loads((model_dir / "results.json").read_text())


def tasks_of(process: "subprocess.Popen[str]") -> Dict[str, int]:
    """Returns the processes of a cluster's command by their tasks."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (path / "environ").read_bytes() if parent == process.pid else b""
        except OSError:
            continue
        match = re.search(rb'"task": ({[^}]*})', environment)
        if match:
            task = json.loads(match[1])
            found[f"{task['type']}/{task['index']}"] = int(path.name)
    return found


def until(come: "object", seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The run STEPS in one process."""
    folder = tmp_path_factory.mktemp("alone")
    process = launch(folder, *STEPS, "--model_dir", "run")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return folder / "run"


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_learn_step_by_step_what_one_process_learns(cli, tmp_path, alone, workers):
    done = cli("cluster", *STEPS, "--workers", workers, "--model_dir", "run")
    assert done.returncode == 0, done.stderr + done.stdout
    assert losses(alone).size == 24
    assert np.allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-5)
    expected = variables(alone)
    for name, value in variables(tmp_path / "run").items():
        assert np.allclose(value, expected[name], rtol=1e-3, atol=2e-5), name
    assert results(tmp_path / "run")["final"] == pytest.approx(results(alone)["final"], rel=1e-3)
    # The chief alone reports; all tasks say that they have come to their end.
    assert done.stdout.count("Report: ") == 1
    for number in range(1, workers):
        assert f"[worker/{number}] worker/{number}: done" in done.stdout
    # Finished, it is shown again.
    again = cli("cluster", *STEPS, "--workers", workers, "--model_dir", "run") if workers == 2 else None
    assert again is None or (again.returncode == 0 and "this experiment is finished" in again.stdout)


def test_replicas_of_one_process_learn_the_same(cli, tmp_path, alone):
    done = cli(*STEPS, "--strategy", "mirrored", "--replicas", "3", "--model_dir", "run")
    assert done.returncode == 0, done.stderr
    assert np.allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-5)
    # What was trained so is evaluated and exported by one process as any other run.
    evaluated = cli("evaluate", "--model_dir", "run", "--json")
    assert json.loads(evaluated.stdout)["accuracy"] == results(tmp_path / "run")["final"]["test_accuracy"]


def newest(model_dir: Path) -> int:
    return max((int(path.stem.split("-")[1]) for path in model_dir.glob("model.ckpt-*.index")), default=-1)


def test_a_lost_worker_ends_all_and_the_same_command_goes_on_to_the_same_bits(cli, tmp_path):
    words = ["cluster", "--workers", "2", *LONG, "--model_dir"]
    unbroken = cli(*words, "unbroken")
    assert unbroken.returncode == 0, unbroken.stdout + unbroken.stderr
    broken = tmp_path / "broken"
    for victim, other in (("worker/1", "worker/0"), ("worker/0", "worker/1")):
        process = launch(tmp_path, *words, "broken")
        before = newest(broken)
        until(lambda: newest(broken) > max(before, 0) or process.poll() is not None)  # noqa: B023
        assert process.poll() is None, process.communicate()
        found = tasks_of(process)
        os.kill(found[victim], signal.SIGKILL)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGKILL
        assert f"error: {victim} ended first, by SIGKILL" in errors
        said = [line for line in output.splitlines() if line.startswith(f"[{other}] error:")]
        assert len(said) == 1 and "lost" in said[0] and "to resume from the newest checkpoint" in said[0], output
        assert "Traceback" not in output
        assert not any(Path(f"/proc/{pid}").exists() for pid in found.values())
    again = cli(*words, "broken")
    assert again.returncode == 0 and "Going on after step" in again.stdout
    expected = variables(tmp_path / "unbroken")
    for name, value in variables(broken).items():
        assert np.array_equal(value, expected[name]), name
    assert results(broken)["final"] == results(tmp_path / "unbroken")["final"]


def test_a_signal_to_one_task_stops_all_after_the_same_step_and_one_process_may_go_on(cli, tmp_path):
    process = launch(tmp_path, "cluster", "--workers", "2", *LONG, "--model_dir", "run")
    until(lambda: newest(tmp_path / "run") > 0 or process.poll() is not None)
    os.kill(tasks_of(process)["worker/1"], signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    steps = re.findall(r"\[(worker/\d)\] Stopped by SIGTERM after step ([\d,]+), which is saved", output)
    assert sorted(name for name, _ in steps) == ["worker/0", "worker/1"]
    assert len({step for _, step in steps}) == 1
    step = int(steps[0][1].replace(",", ""))
    assert newest(tmp_path / "run") == step < 6000
    done = cli(*LONG, "--model_dir", "run")
    assert done.returncode == 0 and f"Going on after step {step:,} of 6,000" in done.stdout
    assert results(tmp_path / "run")["final"]["test_accuracy"] > 0.9


def test_parameter_servers_and_the_evaluator_end_when_the_training_has(cli, tmp_path):
    words = ["--workers", "2", "--ps", "2", "--evaluator", *LONG, "--train_steps", "1200", "--model_dir", "run"]
    done = cli("cluster", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("worker/0", "evaluator/0"):
        assert f"[{name}] {name}: done" in done.stdout
    assert re.search(r"\[evaluator/0\] step +1200, .*accuracy 9\d", done.stdout)
    found = variables(tmp_path / "run")
    assert found["global_step"] == 1200
    # Each batch was trained on once, so that the losses of all epochs are those of all their examples.
    train_loss = np.array(results(tmp_path / "run")["train_loss"])
    assert (np.diff(train_loss[:4]) < 0).all() and train_loss[-1] < 0.2
    assert results(tmp_path / "run")["final"]["test_accuracy"] > 0.9
    (tmp_path / "run" / "results.json").unlink()  # as if the chief had been killed between its last step and its end
    again = cli("cluster", *words)
    assert again.returncode == 0 and "[ps/1] ps/1: nothing to do: the run is trained to its end" in again.stdout


def test_ctrl_c_and_the_end_of_the_command_leave_no_task(tmp_path):
    for signum in (signal.SIGINT, signal.SIGKILL):
        process = launch(tmp_path, "cluster", "--workers", "2", *LONG, "--model_dir", "run")
        before = newest(tmp_path / "run")
        until(lambda: newest(tmp_path / "run") > max(before, 0) or process.poll() is not None)  # noqa: B023
        found = tasks_of(process)
        assert len(found) == 2
        process.send_signal(signum)
        process.communicate(timeout=60)
        if signum == signal.SIGINT:
            assert process.returncode == 130
        until(lambda: not any(alive(pid) for pid in found.values()), 60)  # noqa: B023


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


BAD: List[List[str]] = [
    ["--strategy", "mirrored"],
    ["--strategy", "parameter_server"],
    ["--ps", "1", "--strategy", "multi_worker"],
    ["--workers", "0"],
    ["--input", "stream"],
    ["--workers", "8", "--batch_size", "4"],
]


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_exit_code_2(cli, tmp_path, words):
    done = cli("cluster", "--source", "sample", "--model_dir", "run", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: --")
    assert not (tmp_path / "run").exists()


def test_another_experiment_of_a_worker_is_refused(cli, tmp_path, alone):
    """A chief of other flags than its worker's: each says so in a line of its own."""
    done = cli("cluster", *STEPS, "--seed", "6", "--workers", "2", "--model_dir", alone)
    assert done.returncode == 2
    assert "[worker/0] error: --model_dir" in done.stdout and "holds another experiment" in done.stdout
