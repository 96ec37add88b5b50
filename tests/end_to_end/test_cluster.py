"""Clusters on one machine: what they learn, how they end, and what happens when a task is lost."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
from support import PATIENCE, checkpoint, is_running, launch, wait_until

from estimator_mnist.model_dir import event_files

# 16 steps an epoch, each of them logged. Dropout and augmentation must be those of the global batch, too.
STEPS = ["--source", "sample", "--model", "lenet5", "--batch_size", "250", "--augment", "affine"]
STEPS += ["--train_steps", "24", "--evals", "2", "--iterations_per_loop", "1", "--seed", "5"]
# Long enough to be stopped midway, with many steps a session call.
LONG = ["--source", "sample", "--model", "dense", "--train_steps", "6000", "--evals", "6", "--dropout_rate", "0.3"]


def losses(model_dir: Path) -> np.ndarray:
    by_step = event_files.scalars(model_dir)["loss"]
    return np.array([by_step[step] for step in sorted(by_step)])


def results(model_dir: Path) -> Dict[str, object]:
    return json.loads((model_dir / "results.json").read_text())


def tasks_of(process: "subprocess.Popen[str]") -> Dict[str, int]:
    """Returns the process ids of a cluster's tasks, {"worker/1": id}."""
    pids = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (path / "environ").read_bytes() if parent == process.pid else b""
        except OSError:
            continue
        match = re.search(rb'"task": ({[^}]*})', environment)
        if match:
            task = json.loads(match[1])
            pids[f"{task['type']}/{task['index']}"] = int(path.name)
    return pids


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The run STEPS in one process."""
    folder = tmp_path_factory.mktemp("alone")
    process = launch(folder, *STEPS, "--model_dir", "run")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return folder / "run"


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_learn_step_by_step_what_one_process_learns(cli, tmp_path, alone, workers):
    done = cli("cluster", *STEPS, "--workers", workers, "--model_dir", "run")
    assert done.returncode == 0, done.stderr + done.stdout
    assert losses(alone).size == 24
    assert np.allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-5)
    expected = checkpoint(alone)
    for name, value in checkpoint(tmp_path / "run").items():
        assert np.allclose(value, expected[name], rtol=1e-3, atol=2e-5), name
    assert results(tmp_path / "run")["final"] == pytest.approx(results(alone)["final"], rel=1e-3)
    # Only the chief reports. The other tasks say that they are done.
    assert done.stdout.count("Report: ") == 1
    for number in range(1, workers):
        assert f"[worker/{number}] worker/{number}: done" in done.stdout
    # The same command shows the finished run again.
    again = cli("cluster", *STEPS, "--workers", workers, "--model_dir", "run") if workers == 2 else None
    assert again is None or (again.returncode == 0 and "this experiment is finished" in again.stdout)


def test_replicas_in_one_process_learn_what_one_replica_learns(cli, tmp_path, alone):
    done = cli(*STEPS, "--strategy", "mirrored", "--replicas", "3", "--model_dir", "run")
    assert done.returncode == 0, done.stderr
    assert np.allclose(losses(tmp_path / "run"), losses(alone), rtol=2e-5)
    # One process evaluates such a run like any other.
    evaluated = cli("evaluate", "--model_dir", "run", "--json")
    assert json.loads(evaluated.stdout)["accuracy"] == results(tmp_path / "run")["final"]["test_accuracy"]


def newest(model_dir: Path) -> int:
    return max((int(path.stem.split("-")[1]) for path in model_dir.glob("model.ckpt-*.index")), default=-1)


def test_a_lost_worker_ends_all_tasks_and_the_resumed_run_is_equal_to_the_bit(cli, tmp_path):
    words = ["cluster", "--workers", "2", *LONG, "--model_dir"]
    unbroken = cli(*words, "unbroken")
    assert unbroken.returncode == 0, unbroken.stdout + unbroken.stderr
    broken = tmp_path / "broken"
    for victim, other in (("worker/1", "worker/0"), ("worker/0", "worker/1")):
        process = launch(tmp_path, *words, "broken")
        before = newest(broken)
        wait_until(lambda: newest(broken) > max(before, 0) or process.poll() is not None)  # noqa: B023
        assert process.poll() is None, process.communicate()
        pids = tasks_of(process)
        os.kill(pids[victim], signal.SIGKILL)
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 128 + signal.SIGKILL
        assert f"error: {victim} ended first, by SIGKILL" in errors
        errors_of_other = [line for line in output.splitlines() if line.startswith(f"[{other}] error:")]
        assert len(errors_of_other) == 1 and "lost" in errors_of_other[0], output
        assert "the newest checkpoint" in errors_of_other[0]
        assert "Traceback" not in output
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    again = cli(*words, "broken")
    assert again.returncode == 0 and re.search(r"after step \d", again.stdout), again.stdout
    expected = checkpoint(tmp_path / "unbroken")
    for name, value in checkpoint(broken).items():
        assert np.array_equal(value, expected[name]), name
    assert results(broken)["final"] == results(tmp_path / "unbroken")["final"]


def test_a_signal_to_one_task_stops_all_after_the_same_step_and_one_process_can_resume(cli, tmp_path):
    process = launch(tmp_path, "cluster", "--workers", "2", *LONG, "--model_dir", "run")
    wait_until(lambda: newest(tmp_path / "run") > 0 or process.poll() is not None)
    os.kill(tasks_of(process)["worker/1"], signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGTERM
    steps = re.findall(r"\[(worker/\d)\] Stopped by SIGTERM after step ([\d,]+), which is saved", output)
    assert sorted(name for name, _ in steps) == ["worker/0", "worker/1"]
    assert len({step for _, step in steps}) == 1
    step = int(steps[0][1].replace(",", ""))
    assert newest(tmp_path / "run") == step < 6000
    done = cli(*LONG, "--model_dir", "run")
    assert done.returncode == 0 and f"after step {step:,} of 6,000" in done.stdout, done.stdout
    assert results(tmp_path / "run")["final"]["test_accuracy"] > 0.9


def test_parameter_servers_and_the_evaluator_end_after_the_training(cli, tmp_path):
    words = ["--workers", "2", "--ps", "2", "--evaluator", *LONG, "--train_steps", "1200", "--model_dir", "run"]
    done = cli("cluster", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("worker/0", "evaluator/0"):
        assert f"[{name}] {name}: done" in done.stdout
    assert re.search(r"\[evaluator/0\] step +1200, .*accuracy 9\d", done.stdout)
    assert checkpoint(tmp_path / "run")["global_step"] == 1200
    # Each batch was trained on once, so that the losses of an epoch are those of all its examples.
    train_loss = np.array(results(tmp_path / "run")["train_loss"])
    assert (np.diff(train_loss[:4]) < 0).all() and train_loss[-1] < 0.2
    assert results(tmp_path / "run")["final"]["test_accuracy"] > 0.9
    (tmp_path / "run" / "results.json").unlink()  # as if the chief had been killed after its last step
    again = cli("cluster", *words)
    assert again.returncode == 0 and "[ps/1] ps/1: nothing to do: the run is trained to its end" in again.stdout


def test_neither_ctrl_c_nor_kill_9_of_the_command_leaves_a_task(tmp_path):
    for signum in (signal.SIGINT, signal.SIGKILL):
        process = launch(tmp_path, "cluster", "--workers", "2", *LONG, "--model_dir", "run")
        before = newest(tmp_path / "run")
        wait_until(lambda: newest(tmp_path / "run") > max(before, 0) or process.poll() is not None)  # noqa: B023
        pids = tasks_of(process)
        assert len(pids) == 2
        process.send_signal(signum)
        process.communicate(timeout=PATIENCE)
        if signum == signal.SIGINT:
            assert process.returncode == 130
        wait_until(lambda: not any(map(is_running, pids.values())))  # noqa: B023


WRONG: List[List[str]] = [
    ["--strategy", "mirrored"],
    ["--strategy", "parameter_server"],
    ["--ps", "1", "--strategy", "multi_worker"],
    ["--workers", "0"],
    ["--input", "stream"],
    ["--workers", "8", "--batch_size", "4"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_is_one_line_and_exit_code_2(cli, tmp_path, words):
    done = cli("cluster", "--source", "sample", "--model_dir", "run", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: --")
    assert not (tmp_path / "run").exists()


def test_tasks_refuse_a_model_dir_that_holds_another_experiment(cli, tmp_path, alone):
    """Each task says so in one line, and the command ends with the exit code of the first."""
    done = cli("cluster", *STEPS, "--seed", "6", "--workers", "2", "--model_dir", alone)
    assert done.returncode == 2
    assert "[worker/0] error: --model_dir" in done.stdout and "holds another experiment" in done.stdout
