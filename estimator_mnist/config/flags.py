"""Reading a command line, and the Experiment and the paths that its flags describe."""

import dataclasses
import sys
from pathlib import Path
from typing import Any, Dict, List

from absl import flags as absl_flags

from estimator_mnist import user_code
from estimator_mnist.config import assembly, export_formats
from estimator_mnist.config.definitions import COMMANDS, DEFAULTS, FLAGS
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import FIELDS, MAY_CHANGE
from estimator_mnist.system.paths import path_of
from input_fns import Data, InputError, Request


def parse(argv: List[str]) -> str:
    """Reads a command line into FLAGS and returns its command.

    Args:
        argv: The words, the program's name first.

    Raises:
        InputError: A flag or command is unknown, or a flag does not take its value.
    """
    try:
        rest = FLAGS([argv[0], *_join_booleans(argv[1:])])[1:]
    except absl_flags.Error as error:
        raise InputError(" ".join(str(error).split()).replace("flag --", "--", 1)) from error
    command = rest.pop(0) if rest else "train"
    if command not in COMMANDS:
        raise InputError(f"{command}: no such command; the commands are {', '.join(COMMANDS)}")
    if command == "predict":
        FLAGS["files"].value = [*FLAGS.files, *rest]
    elif rest:
        raise InputError(f"{rest[0]}: not expected here; flags begin with --, and {command} takes no further words")
    return command


def model_dir() -> Path:
    """Returns the model_dir that the flags name, or the default one."""
    return path_of(FLAGS.model_dir or assembly.default_model_dir(request().name, FLAGS.model))


def request() -> Request:
    """Returns the data that the flags name."""
    named = {name: FLAGS[name].value for name in Request.__dataclass_fields__ if name in FLAGS}
    given = {name: value for name, value in named.items() if value is not None}
    return Request(**given, stream=FLAGS.input == "stream")


def experiment(data: Data) -> Experiment:
    """Returns the Experiment that the flags describe.

    Args:
        data: The data that the flags name.

    Raises:
        InputError: A value is out of its range, two flags contradict each other, or a user's file cannot be read.
    """
    chosen = {name: FLAGS[name].value for name in DEFAULTS}
    settings = {**chosen, **explicit()}
    return assembly.experiment(data, settings, assembly.Code(copies=model_dir() / user_code.FOLDER))


def override(stored: Experiment) -> Experiment:
    """Returns a stored experiment with the flags of the command line that may change.

    Raises:
        InputError: A flag contradicts the stored experiment.
    """
    given = explicit()
    if given.get("source") == "auto":
        del given["source"]
    overridden = assembly.with_settings(stored, given, model_dir() / user_code.FOLDER)
    differences = overridden.differences(stored)
    if differences:
        raise InputError(
            f"{differences[0]} as in the experiment of {model_dir()}; leave it out, or name its --model_dir"
        )
    return overridden


def override_session(stored: Experiment) -> Experiment:
    """Returns a stored experiment with only those flags of the command line that change nothing in what is learned."""
    given = {name: value for name, value in explicit().items() if name in MAY_CHANGE}
    return dataclasses.replace(stored, **given)


def explicit() -> Dict[str, Any]:
    """Returns {field of Experiment: value} for the flags that the command line sets."""
    return {name: FLAGS[name].value for name in FIELDS if name in FLAGS and FLAGS[name].present}


def _join_booleans(words: List[str]) -> List[str]:
    """Turns --flag true into --flag=true: absl reads the former as a flag and a stray word."""
    joined: List[str] = []
    for word in words:
        name = joined[-1].lstrip("-") if joined and joined[-1].startswith("--") else ""
        if word.lower() in ("true", "false") and name in FLAGS and FLAGS[name].boolean:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def verbose() -> bool:
    """Tells whether the user asked for TensorFlow's log and for tracebacks."""
    return bool(FLAGS.is_parsed() and FLAGS["verbosity"].present and FLAGS.verbosity >= 0)


def formats() -> List[str]:
    """Returns --formats, each once. The default is the formats that need no download.

    Raises:
        InputError: There is no such format, or none is named.
    """
    if FLAGS["formats"].present:
        return export_formats.checked(FLAGS.formats, "--formats")
    names = export_formats.default()
    if "onnx" not in names:
        print("onnx is left out: tf2onnx is not installed; it needs Python 3.10 or later", file=sys.stderr)
    return names
