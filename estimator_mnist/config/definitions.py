"""The definitions of all flags: those derived from Experiment's fields, and those of single commands."""

import contextlib
import typing
from typing import Any, Callable, Dict, Iterator, List

from absl import (
    flags,
    logging,  # noqa: F401  defines --verbosity
)

from estimator_mnist.config import setting as settings
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.export_formats import FORMATS, WITHOUT_DOWNLOADS
from estimator_mnist.config.fields import DATA, FIELDS, USER_FUNCTIONS
from input_fns import PREPROCESSES

FLAGS = flags.FLAGS
COMMANDS = {
    "train": "Train and evaluate to the end, then show predictions. The default.",
    "evaluate": "Evaluate the newest checkpoint, or --checkpoint, and compare it with the run --against.",
    "predict": "Classify image files: predict FILES, which are files, folders, or - for standard input.",
    "export": "Write the newest checkpoint, or --checkpoint, in the --formats of other runtimes, and check each.",
    "report": "Write report.html and the plots of a finished run again.",
    "sweep": "Train once for every combination of lists, or search, then show a table of the results.",
    "cluster": "Train with several processes of this machine: --workers, --ps, --evaluator.",
    "tensorboard": "Start TensorBoard on all runs, reachable from this machine only. TensorBoard's flags may follow.",
    "benchmark": "Run a benchmark by its name. --help after the name lists its flags.",
    "test": "Run the tests. Flags of pytest may follow.",
}
SEARCHES = ("grid", "random", "optuna")
# Needed before there is an Experiment: they choose the data and the recipe. All other flags of fields are None unless
# the command line sets them. Then the recipe or the field's default decides.
DEFAULTS: Dict[str, Any] = {name: FIELDS[name].default for name in ("model", "recipe", "input")}
DEFAULTS["source"] = "auto"  # only ever a request: an Experiment holds the source that was found
GROUPS: Dict[str, List[str]] = {}  # heading of --help -> its flags

_DEFINE: Dict[Any, Callable[..., Any]] = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


@contextlib.contextmanager
def _heading(group: str) -> Iterator[None]:
    """A context in which flags are defined that --help lists under a heading."""
    before = set(FLAGS)
    yield
    GROUPS.setdefault(group, []).extend(name for name in FLAGS if name not in before)


def _define_fields() -> None:
    """Defines a flag for every field of Experiment that does not describe the data found."""
    types = typing.get_type_hints(Experiment)
    for name, field in FIELDS.items():
        if name in DATA:
            continue
        declared, default = settings.of(field), DEFAULTS.get(name)
        with _heading(declared.group):
            if declared.choices and name not in USER_FUNCTIONS:
                flags.DEFINE_enum(name, default, declared.choices, declared.help)
            else:
                kind, *_none = typing.get_args(types[name]) or (types[name],)  # of an Optional its first argument
                _DEFINE[kind](name, default, declared.help)


with _heading("Run"):
    flags.DEFINE_string("model_dir", None, "Where the run lives, local or gs://... Default: runs/<dataset>-<model>.")
    flags.DEFINE_boolean("clean", False, "Start over: delete what a run left in the model_dir.")

_define_fields()

with _heading("Distributed training"):
    flags.DEFINE_integer("cluster_timeout", 30, "Seconds to wait for the tasks of the cluster.", lower_bound=1)
    flags.DEFINE_integer("workers", 2, "cluster: tasks that train.", lower_bound=1, upper_bound=1000)
    flags.DEFINE_integer("ps", 0, "cluster: parameter servers.", lower_bound=0)
    flags.DEFINE_boolean("evaluator", False, "cluster: add a task that evaluates while the others train.")

with _heading("Evaluate, predict and export"):
    flags.DEFINE_string("checkpoint", None, "A checkpoint: its path, its step, or best. Default: the newest.")
    flags.DEFINE_string("against", None, "evaluate: model_dir of a run to compare with, on the same images.")
    flags.DEFINE_multi_string("files", [], "predict: an image file, a folder, or -. May be repeated.")
    flags.DEFINE_enum("preprocess", "auto", PREPROCESSES, "predict: how a picture becomes one like the data set's.")
    flags.DEFINE_string("contact_sheet", None, "predict: write what the network saw, and its answers, to this PNG.")
    flags.DEFINE_list(
        "formats", list(WITHOUT_DOWNLOADS), f"export: some of {', '.join(FORMATS)}. keras needs the network once."
    )
    flags.DEFINE_boolean("json", False, "evaluate, predict, export: print JSON.")

with _heading("Sweep"):
    flags.DEFINE_enum("search", None, SEARCHES, "How settings are chosen. Default: grid; with --samples: random.")
    flags.DEFINE_integer("samples", None, "Settings that a random search or Optuna tries.")
    flags.DEFINE_integer("jobs", None, "Runs at a time. Default: one for each core.")
    flags.DEFINE_string("sweep_dir", None, "Where its runs live. Default: runs/sweeps/<dataset>-<what varies>.")
