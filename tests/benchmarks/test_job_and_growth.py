"""The benchmarks of the whole job and of growth run, and write what they print. No figure decides a test."""

import json
import signal
import subprocess
import sys

import pytest
from support import PATIENCE, wait_until

from benchmarks import growth, job, processes

PNG = b"\x89PNG"


def test_job_runs_both_sides_and_writes_what_it_prints(mnist, tmp_path, capsys):
    words = ["--only", "whole", "--rounds", "1", "--epochs", "1", "--out", str(tmp_path)]
    assert job.main(words) == 0
    found = json.loads((tmp_path / "job.json").read_text())["whole"]
    printed = capsys.readouterr().out
    for name in (job.OURS, job.KERAS):
        (seconds,), (accuracy,) = found["seconds"][name], found["test_accuracy"][name]
        assert f"{seconds:.2f}" in printed and accuracy > 0.9
    assert (tmp_path / "job.png").read_bytes()[:4] == PNG


def test_job_measures_the_time_to_an_accuracy_and_keeps_earlier_parts(mnist, tmp_path, capsys):
    (tmp_path / "job.json").write_text(json.dumps({"fixed": {"a cost": [1.0]}}))
    recipe = "default --train_steps 20"
    words = ["--only", "accuracy", "--seeds", "1", "--keras_seeds", "0", "--recipe", recipe, "--out", str(tmp_path)]
    assert job.main(words) == 0
    found = json.loads((tmp_path / "job.json").read_text())
    assert found["fixed"] == {"a cost": [1.0]}
    (seconds,), (evaluated,) = found["accuracy"]["seconds"][job.OURS], found["accuracy"]["to_last_evaluation"]
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
    process = subprocess.Popen(processes.module("benchmarks.growth", *words), stderr=subprocess.PIPE)
    wait_until(lambda: any(tmp_path.glob("growth-*/idx/*")), every=0.01)
    process.send_signal(number)
    assert b"Traceback" not in process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert not list(tmp_path.glob("growth-*"))


def test_a_process_is_measured_from_outside():
    done = processes.run([sys.executable, "-c", "import time; time.sleep(0.3); print('done')"])
    assert done.stdout == "done\n" and done.seconds > 0.3
    # In a process of its own: a child counts what its parent held, and the tests before this one may have held much.
    measure = "import sys; from benchmarks.processes import run; print(run([sys.executable, *sys.argv[1:]]).peak_bytes)"
    words = [sys.executable, "-c", measure, "-c"]
    small, large = (int(processes.run([*words, program]).stdout) for program in ("pass", "x = b'x' * 10**9"))
    assert small < 10**9 < large < 1.1 * 10**9
