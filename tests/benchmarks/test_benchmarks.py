"""The throughput benchmark runs, and prints and writes what it measured. No test depends on a figure."""

import json
import statistics

from benchmarks import throughput


def test_throughput_runs_its_contestants_in_turn_and_writes_what_it_prints(mnist, tmp_path, capsys):
    words = ["--model", "dense", "--rounds", "2", "--only", "estimator-mnist,floor", "--out", str(tmp_path)]
    assert throughput.main(words) == 0
    printed = capsys.readouterr()
    figures = json.loads((tmp_path / "throughput.json").read_text())["images_per_second"]["dense"]
    assert [len(values) for values in figures.values()] == [2, 2]
    assert all(min(values) > 0 for values in figures.values())
    turns = [line.split(":")[0] for line in printed.err.splitlines()]
    assert [turn.split()[1] for turn in turns] == ["1/2", "1/2", "2/2", "2/2"]
    for values in figures.values():
        assert f"{statistics.median(values):,.0f}" in printed.out
    assert (tmp_path / "throughput.png").read_bytes()[:4] == b"\x89PNG"


def test_missing_mnist_is_one_line(tmp_path, monkeypatch, capfd, offline):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert throughput.main([]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: --dataset mnist: ") and error.count("\n") == 1


def test_contestants_are_left_out_if_their_environment_cannot_be_made(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(throughput, "HERE", tmp_path)
    (tmp_path / "requirements-none.txt").write_text("no-such-package-of-anyone==1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert throughput._python("none") is None
    assert "its contestants are left out" in capfd.readouterr().err
