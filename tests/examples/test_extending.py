"""Every block of docs/extending.md is run in its order: files are written, commands are run for a few steps."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from support import ROOT, command_line

DOCUMENT = ROOT / "docs" / "extending.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHORT = ["--train_steps", "3", "--evals", "1", "--batch_size", "20"]


def commands(block: str):
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


def test_every_block_of_the_document_runs(tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    blocks = BLOCK.findall(DOCUMENT.read_text())
    assert {language for language, _ in blocks} == {"python", "bash"}
    runs = 0
    for language, block in blocks:
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", block)
            (tmp_path / name[1]).write_text(block)
            continue
        for program, *words in commands(block):
            if program == "bash":
                assert words.pop(0) == "run.sh"
                own_data = any(word.startswith(("--source", "--arrays", "--dataset")) for word in words)
                words += [*SHORT, *([] if own_data else ["--source", "sample"])]
                words += ["--sweep_dir", "sweep"] if words[0] == "sweep" else ["--model_dir", f"run{runs}"]
                done = command_line(tmp_path, *words)
                runs += 1
            else:
                assert program == ".venv/bin/python"
                done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0 and done.stderr == "", (words, done.stderr)
    check_runs(tmp_path, runs)


def check_runs(folder: Path, runs: int):
    paths = [path.parent for path in folder.glob("*/**/experiment.json")]
    experiments = [json.loads((path / "experiment.json").read_text()) for path in paths]
    assert len(paths) == runs + 1  # a sweep has two
    assert all((path / "report.html").exists() or "sweep" in str(path) for path in paths)
    models = {experiment["model"] for experiment in experiments}
    assert models >= {"my_nets.py:small", "gated.py:gated", "from_keras.py:convnet", "dense", "conv"}
    shapes = {tuple(experiment["image_shape"]) for experiment in experiments}
    assert shapes == {(28, 28, 1), (32, 32, 3)}


def test_the_document_has_at_most_200_lines_and_its_links_resolve():
    text = DOCUMENT.read_text()
    assert len(text.splitlines()) <= 200
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    assert len(links) > 8 and all((DOCUMENT.parent / link).exists() for link in links)


def test_the_document_says_what_the_defaults_are():
    from estimator_mnist.architectures import arithmetic
    from estimator_mnist.architectures.recipes import GENERIC

    text = DOCUMENT.read_text()
    assert f"| {arithmetic.FLOP_OF_CALL:.0e} FLOP, ".replace("e+10", "e10") in text
    assert f"at most {arithmetic.MOST_IMAGES_OF_CALL:,} images" in text
    assert (
        f"| {arithmetic.MICRO_BATCHES} with `BatchNorm`, or from {arithmetic.FLOP_OF_MICRO_BATCHES / 1e6:.0f} MFLOP"
        in text
    )
    for name, recipe in GENERIC.items():
        (row,) = re.findall(rf"^\| `--recipe {name}` \|.*$", text, re.MULTILINE)
        assert f"{recipe['train_epochs']} epochs" in row
        assert name == "best" or f"batches of {recipe['batch_size']}" in row


def test_the_document_lists_every_layer():
    from estimator_mnist import layers

    listed = set(re.findall(r"^\| `([A-Z]\w+)\(name", DOCUMENT.read_text(), re.MULTILINE))
    classes = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert listed == classes - {"Layer", "Weight"}
