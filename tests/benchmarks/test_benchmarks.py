"""The benchmarks run, and what they print and write is what they measured. No figure decides a test."""

import json
import statistics

from benchmarks import throughput


def test_throughput_runs_its_contestants_in_turn_and_writes_what_it_prints(mnist, tmp_path, capsys):
    words = ["--model", "dense", "--rounds", "2", "--only", "estimator-mnist,floor", "--out", str(tmp_path)]
    assert throughput.main(words) == 0
    printed = capsys.readouterr()
    found = json.loads((tmp_path / "throughput.json").read_text())["images_per_second"]["dense"]
    assert [len(values) for values in found.values()] == [2, 2] and all(min(values) > 0 for values in found.values())
    turns = [line.split(":")[0] for line in printed.err.splitlines()]
    assert [turn.split()[1] for turn in turns] == ["1/2", "1/2", "2/2", "2/2"]
    for values in found.values():
        assert f"{statistics.median(values):,.0f}" in printed.out
    assert (tmp_path / "throughput.png").read_bytes()[:4] == b"\x89PNG"


def test_without_mnist_it_is_one_line(tmp_path, monkeypatch, capfd, offline):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert throughput.main([]) == 2
    error = capfd.readouterr().err
    assert error.startswith("error: --dataset mnist: ") and error.count("\n") == 1


def test_an_environment_that_cannot_be_made_leaves_its_peers_out(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(throughput, "HERE", tmp_path)
    (tmp_path / "requirements-none.txt").write_text("no-such-package-of-anyone==1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert throughput._python("none") is None
    assert "its peers are left out" in capfd.readouterr().err
