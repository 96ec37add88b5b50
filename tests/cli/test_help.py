"""--help: every command, flag and benchmark, wrapped to the terminal."""

import re

import pytest

from estimator_mnist.cli import commands, help
from estimator_mnist.cli.launchers import BENCHMARKS
from estimator_mnist.config.definitions import COMMANDS, FLAGS, GROUPS
from estimator_mnist.config.fields import FIELDS


@pytest.mark.parametrize("columns, width", [("200", 120), ("90", 90), ("60", 60), ("20", 60)])
def test_lines_are_wrapped_at_words_to_the_width_of_the_terminal(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    text = help.text()
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for explanation in [*COMMANDS.values(), *BENCHMARKS.values(), *help.EXAMPLES, *help.EXAMPLES.values()]:
        assert explanation in words


def test_every_command_flag_and_benchmark_is_listed():
    lines = help.text().splitlines()
    for name in [*COMMANDS, *BENCHMARKS]:
        assert any(re.match(rf"  {name} ", line) for line in lines), name
    for group, names in GROUPS.items():
        assert group in lines
        for name in names:
            assert any(re.match(rf"  --{name}( |$)", line) for line in lines), name


def test_defaults_are_those_of_the_fields():
    words = " ".join(help.text().split())
    assert FIELDS["eval_batch_size"].default == 500 and "Examples in an evaluation batch. Default: 500." in words
    assert "Examples in a training batch. Default: the recipe's, else 64." in words
    assert "Allocate GPU memory as it is needed. Default: true." in words
    assert "One of auto, tfds, idx, folder, arrays, sample. Default: auto." in words
    assert "<" not in re.sub("runs/(sweeps/)?<[^>]*>(-<[^>]*>)?", "", words) and "repeat this option" not in words


def test_every_command_of_help_exists():
    assert set(COMMANDS) == {*commands.COMMANDS, *commands.LAUNCHERS, "sweep"}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["train", "--help"], ["sweep", "--help"]])
def test_help_is_printed_wherever_it_is_asked_for(cli, words):
    done = cli(*words)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(f"bash run.sh {help.USAGE}")


def test_a_value_may_be_the_word_help():
    assert not help.is_wanted(["--model_dir", "help"]) and "model_dir" in FLAGS
