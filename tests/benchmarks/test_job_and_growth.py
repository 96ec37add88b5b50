"""The benchmarks job and growth run, and write what they print. No test depends on a figure."""

import json
import signal
import subprocess
import sys

import pytest
from support import PATIENCE, wait_until

from benchmarks import growth, job, processes
from estimator_mnist.system.child_processes import Program
from estimator_mnist.system.interpreter import module_command

PNG = b"\x89PNG"


def test_job_runs_this_project_and_keras_and_writes_what_it_prints(mnist, tmp_path, capsys):
    words = ["--only", "whole", "--rounds", "1", "--epochs", "1", "--out", str(tmp_path)]
    assert job.main(words) == 0
    figures = json.loads((tmp_path / "job.json").read_text())["whole"]
    printed = capsys.readouterr().out
    for name in (job.OURS, job.KERAS):
        (seconds,), (accuracy,) = figures["seconds"][name], figures["test_accuracy"][name]
        assert f"{seconds:.2f}" in printed and accuracy > 0.9
    assert (tmp_path / "job.png").read_bytes()[:4] == PNG


def test_job_measures_the_time_to_an_accuracy_and_keeps_earlier_parts(mnist, tmp_path, capsys):
    (tmp_path / "job.json").write_text(json.dumps({"fixed": {"a cost": [1.0]}}))
    recipe = "default --train_steps 20"
    words = ["--only", "accuracy", "--seeds", "1", "--keras_seeds", "0", "--recipe", recipe, "--out", str(tmp_path)]
    assert job.main(words) == 0
    figures = json.loads((tmp_path / "job.json").read_text())
    assert figures["fixed"] == {"a cost": [1.0]}
    (seconds,), (evaluated,) = figures["accuracy"]["seconds"][job.OURS], figures["accuracy"]["to_last_evaluation"]
    assert 0 < evaluated < seconds and f"{seconds:.2f}" in capsys.readouterr().out


def test_growth_measures_runs_and_leaves_no_files(mnist, tmp_path, capsys):
    words = ["--only", "examples", "--times", "1,2", "--steps", "20", "--folder", str(tmp_path)]
    assert growth.main([*words, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "growth.json").read_text())["examples"]
    assert [row["times MNIST"] for row in rows] == [1, 1, 2, 2]
    assert [row["--input"] for row in rows] == ["indexed", "stream"] * 2
    for row in rows:
        assert row["steps"] == 20 and row["peak, MB"] > row["split, MB"] and f"{row['seconds']:.2f}" in printed
    assert (tmp_path / "out" / "growth.png").read_bytes()[:4] == PNG
    assert not list(tmp_path.glob("growth-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_growth_deletes_its_files_when_it_is_stopped(mnist, tmp_path, number):
    words = ["--only", "examples", "--times", "40", "--folder", tmp_path, "--out", tmp_path / "out"]
    process = subprocess.Popen(module_command("benchmarks.growth", *words), stderr=subprocess.PIPE)
    wait_until(lambda: any(tmp_path.glob("growth-*/idx/*")), every=0.01)
    process.send_signal(number)
    assert b"Traceback" not in process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert not list(tmp_path.glob("growth-*"))


def test_a_program_is_measured_and_its_failure_is_reported():
    finished = processes.run([sys.executable, "-c", "import time; time.sleep(0.3); print('done')"])
    assert finished.stdout == "done\n" and finished.seconds > 0.3 and finished.peak_bytes > 10**6
    with pytest.raises(SystemExit, match="exit code 3\nno such file"):
        processes.run([sys.executable, "-c", "import sys; print('no such file', file=sys.stderr); sys.exit(3)"])


def test_programs_run_at_the_same_time(tmp_path):
    # Each program creates its file and ends when it sees the other program's file.
    meet = """
import pathlib, sys, time
pathlib.Path(sys.argv[1]).touch()
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.01)
"""
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    programs = [Program([sys.executable, "-c", meet, *files]) for files in ((one, two), (two, one))]
    assert [finished.exit_code for finished in processes.run_together(programs)] == [0, 0]


def test_a_program_is_killed_at_the_time_limit():
    (finished,) = processes.run_together([Program([sys.executable, "-c", "import time; time.sleep(600)"])], 1.0)
    assert (finished.exit_code, finished.timed_out) == (-signal.SIGKILL, True)
