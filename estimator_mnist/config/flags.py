"""The flags: their definition, the reading of a command line, and the Experiment that they describe."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from absl import (
    flags,
    logging,  # noqa: F401  defines --verbosity
)

from estimator_mnist.architectures import ARCHITECTURES, RECIPES
from estimator_mnist.config import experiment as experiments
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.system.paths import path_of
from input_fns import AUGMENTS, INPUTS, PREPROCESSES, SOURCES, Data, InputError

FLAGS = flags.FLAGS
COMMANDS = {
    "train": "train and evaluate to the end, then show predictions (the default)",
    "evaluate": "the newest (or --checkpoint) checkpoint on the test (or validation) split, and --against another run",
    "predict": "classify image files: predict FILES, which are files, folders, or - for standard input",
    "export": "the newest (or --checkpoint) checkpoint in the --formats of other runtimes, each checked",
    "report": "report.html and the pictures of a finished run, again",
    "sweep": "a run for every combination of lists (--learning_rate 0.001,0.003 --seed 0-4), or a search; then a table",
    "cluster": "the main job by several processes of this machine: --workers, --ps, --evaluator",
    "tensorboard": "TensorBoard on all runs, on this machine only; further words go to TensorBoard",
    "benchmark": "a benchmark by its name: throughput, job (against the peers), growth, faults; --help tells its flags",
    "test": "the tests; further words go to pytest",
}
FORMATS = ("saved_model", "tflite", "tflite_int8", "onnx", "keras")
USAGE = "bash run.sh [command] [--flag value | --flag=value]"

# Experiment and data.
flags.DEFINE_enum("model", "conv", experiments.MODELS, "The network.")
flags.DEFINE_enum("recipe", "default", sorted(RECIPES), "Sets what the flags below it leave open.")
flags.DEFINE_string("dataset", "mnist", "TFDS name of a data set of 28x28x1 images with class labels.")
flags.DEFINE_enum("source", "auto", SOURCES, "Where the data comes from; auto: TFDS, else the sample.")
flags.DEFINE_string("data_dir", None, "Where TFDS keeps data; default $TFDS_DATA_DIR, else ~/tensorflow_datasets.")
flags.DEFINE_string("idx_dir", None, "Folder with the four IDX files, plain or gzipped.")
flags.DEFINE_enum("input", "indexed", INPUTS, "How batches are made.")
flags.DEFINE_integer("validation_size", None, "The last so many training examples are evaluated on, not trained on.")
flags.DEFINE_string("model_dir", None, "Where the run lives, gs://... too; default runs/<dataset>-<model>.")
flags.DEFINE_boolean("clean", False, "Start over: delete what the model_dir holds.")
# Training. A default of None: the recipe's, else Experiment's.
flags.DEFINE_enum("downsample", None, experiments.DOWNSAMPLES, "How conv reduces its maps (pool).")
flags.DEFINE_boolean("batch_norm", None, "Normalise the maps of conv by their batch (false).")
flags.DEFINE_enum("lenet5_form", None, experiments.LENET5_FORMS, "lenet5 as is common, or as published (today).")
flags.DEFINE_float("dropout_rate", None, "Share of the units dropped before the logits.")
flags.DEFINE_integer("train_epochs", None, "Epochs to train.")
flags.DEFINE_integer("train_steps", None, "Steps to train, in place of --train_epochs.")
flags.DEFINE_integer("batch_size", None, "Examples in a training batch.")
flags.DEFINE_integer("eval_batch_size", None, "Examples in an evaluation batch (500).")
flags.DEFINE_integer("evals", None, "Evaluations over the run (one an epoch).")
flags.DEFINE_integer("seed", None, "The same seed gives the same run again, to the bit (0).")
flags.DEFINE_enum("loss", None, experiments.LOSSES, "What is minimised (cross_entropy).")
flags.DEFINE_enum("optimizer", None, experiments.OPTIMIZERS, "The optimizer.")
flags.DEFINE_float("learning_rate", None, "The learning rate; with a schedule, its peak.")
flags.DEFINE_enum("learning_rate_schedule", None, experiments.SCHEDULES, "How the rate changes over the run.")
flags.DEFINE_float("label_smoothing", None, "Share of the target spread over all classes (0).")
flags.DEFINE_float("average_decay", None, "Of the moving average of the weights, used in their place (0: none).")
flags.DEFINE_enum("augment", None, list(AUGMENTS), "How training images are distorted, anew every epoch.")
flags.DEFINE_float("augment_strength", None, "How much; 1 is what the augment says.")
flags.DEFINE_integer("iterations_per_loop", None, "Training steps in one session call (0: chosen).")
# Session settings.
flags.DEFINE_boolean("allow_growth", None, "Take GPU memory as it is needed (true).")
flags.DEFINE_float("gpu_memory_fraction", None, "Share of a GPU's memory to take at most (0.9).")
flags.DEFINE_boolean("allow_soft_placement", None, "Run on the CPU what the GPU cannot (true).")
flags.DEFINE_boolean("log_device_placement", None, "Log where each op runs (false).")
flags.DEFINE_integer("inter_op_threads", None, "Ops run at a time (0: as many as cores).")
flags.DEFINE_integer("intra_op_threads", None, "Threads within an op (0: chosen).")
flags.DEFINE_boolean("xla", None, "Compile with XLA (false).")
flags.DEFINE_boolean("mixed_precision", None, "Let TensorFlow lower the precision where it is safe (false).")
flags.DEFINE_boolean("profile", None, "Write a trace of one session call, for chrome://tracing (false).")
# Sharing the training.
flags.DEFINE_enum("strategy", None, experiments.STRATEGIES, "What shares the training; cluster and task: TF_CONFIG.")
flags.DEFINE_integer("replicas", None, "mirrored: replicas in this process (0: one for each GPU).")
flags.DEFINE_integer("cluster_timeout", 30, "Seconds to wait for the tasks of the cluster.", lower_bound=1)
flags.DEFINE_integer("workers", 2, "cluster: tasks that train.", lower_bound=1, upper_bound=1000)
flags.DEFINE_integer("ps", 0, "cluster: parameter servers.", lower_bound=0)
flags.DEFINE_boolean("evaluator", False, "cluster: with a task that evaluates while the others train.")
# Files to classify.
flags.DEFINE_multi_string("files", [], "predict: an image file, a folder, or -; the same as a word without --files.")
flags.DEFINE_enum("preprocess", "auto", PREPROCESSES, "predict: how an image is made one of the data set's.")
flags.DEFINE_string("contact_sheet", None, "predict: also write what the network saw, with its answers, to this PNG.")
# Sweeps.
flags.DEFINE_enum("search", None, experiments.SEARCHES, "sweep: how settings are chosen (random with --samples).")
flags.DEFINE_integer("samples", None, "sweep: the settings that a random search or Optuna tries.")
flags.DEFINE_integer("jobs", None, "sweep: runs at a time (as many as cores).")
flags.DEFINE_string("sweep_dir", None, "sweep: where its runs live; default runs/sweeps/<dataset>-<what varies>.")
# Output.
flags.DEFINE_boolean("json", False, "evaluate, predict, export: print JSON.")
flags.DEFINE_string("checkpoint", None, "evaluate, export: a checkpoint's path, its step, or best.")
flags.DEFINE_string("against", None, "evaluate: the model_dir of another run, compared on the same images.")
flags.DEFINE_list("formats", list(FORMATS[:-1]), f"export: of {', '.join(FORMATS)}; keras needs the network once.")


def parse(argv: List[str]) -> str:
    """Reads a command line into FLAGS and returns its command.

    Args:
        argv: The words, the program's name first.

    Raises:
        InputError: A flag or command is unknown, or a flag's value is none of its.
        SystemExit: The user asked for help, and got it.
    """
    words = argv[1:]
    if any(word in ("-h", "--help", "-help", "help") for word in words):
        print(_help())
        raise SystemExit(0)
    try:
        rest = FLAGS([argv[0], *_join_booleans(words)])[1:]
    except flags.Error as error:
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
    name = FLAGS.dataset.replace("/", "_").replace(":", "_")
    return path_of(FLAGS.model_dir or str(Path("runs") / f"{name}-{FLAGS.model}"))


def experiment(data: Data) -> Experiment:
    """Returns the Experiment that the flags describe on the data that was found.

    Raises:
        InputError: A value is out of its range, or two flags contradict each other.
    """
    given = explicit()
    if "train_steps" in given and "train_epochs" in given:
        raise InputError("--train_steps: given beside --train_epochs; give one of the two")
    architecture = ARCHITECTURES[FLAGS.model]
    if FLAGS.recipe not in architecture.recipes:
        models = [name for name, record in ARCHITECTURES.items() if FLAGS.recipe in record.recipes]
        raise InputError(f"--recipe {FLAGS.recipe}: is one for --model {', '.join(models)}, not {FLAGS.model}")
    recipe = architecture.recipe(FLAGS.recipe, FLAGS.dataset)
    found = {
        "source": data.source,
        "data_digest": data.digest,
        "train_examples": data.train.examples,
        "test_examples": data.test.examples,
        "class_names": data.class_names,
    }
    fixed = {name: getattr(FLAGS, name) for name in ("model", "recipe", "dataset", "input", "data_dir", "idx_dir")}
    return Experiment(**{**recipe, **given, **fixed, **found})


def override(stored: Experiment) -> Experiment:
    """Returns a stored experiment with those flags of the command line that may change.

    Raises:
        InputError: A flag is given that contradicts the stored experiment.
    """
    given = explicit()
    if given.get("source") == "auto":
        del given["source"]
    changed = dataclasses.replace(stored, **given)
    differences = changed.differences(stored)
    if differences:
        raise InputError(
            f"{differences[0]} as in the experiment of {model_dir()}; leave it out, or name its --model_dir"
        )
    return changed


def override_session(stored: Experiment) -> Experiment:
    """Returns a stored experiment with the flags of the command line that change nothing in what is learned."""
    given = {name: value for name, value in explicit().items() if name in experiments.MAY_CHANGE}
    return dataclasses.replace(stored, **given)


def explicit() -> Dict[str, Any]:
    """Returns the flags of Experiment that the command line gives a value, by name."""
    names = set(Experiment.__dataclass_fields__) & set(FLAGS)
    return {name: FLAGS[name].value for name in sorted(names) if FLAGS[name].present}


def _join_booleans(words: List[str]) -> List[str]:
    """Makes --flag=true of --flag true, which absl reads as a flag and a stray word."""
    joined: List[str] = []
    for word in words:
        name = joined[-1].lstrip("-") if joined and joined[-1].startswith("--") else ""
        if word.lower() in ("true", "false") and name in FLAGS and FLAGS[name].boolean:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _help() -> str:
    lines = [USAGE, "", "Commands:"]
    lines += [f"  {name:<12} {text}" for name, text in COMMANDS.items()]
    lines += ["", "Flags:"]
    module = sys.modules[__name__]
    for flag in FLAGS.get_key_flags_for_module(module.__name__):
        values = getattr(flag.parser, "enum_values", None)
        default = f" Default: {flag.default}." if flag.default not in (None, False) else ""
        lines.append(f"  --{flag.name}: {flag.help}{' One of ' + ', '.join(values) + '.' if values else ''}{default}")
    lines.append(
        "  In a sweep: A,B a list, 0-4 all whole numbers of a range; with --samples 0.1..0.5 a range to draw from,"
    )
    lines.append("  log:0.0001..0.01 the same in the logarithm.")
    lines.append("  --flagfile: A file with one flag a line.  --verbosity: 0 and above bring TensorFlow's log back.")
    return "\n".join(lines)


def verbose() -> bool:
    """Tells whether the user wants TensorFlow's own log."""
    return bool(FLAGS.is_parsed() and FLAGS["verbosity"].present and FLAGS.verbosity >= 0)


def formats() -> List[str]:
    """Returns --formats, each once; by default those that can be written without the network.

    Raises:
        InputError: There is no such format, or none is named.
    """
    unknown = [name for name in FLAGS.formats if name not in FORMATS]
    if unknown or not FLAGS.formats:
        wrong = ", ".join(unknown) or "nothing"
        raise InputError(f"--formats: {wrong} is no format; name some of {', '.join(FORMATS)}")
    names = list(dict.fromkeys(FLAGS.formats))
    if not FLAGS["formats"].present and importlib.util.find_spec("tf2onnx") is None:
        names.remove("onnx")
        print("onnx is left out: tf2onnx is not installed; it needs Python 3.10 or later", file=sys.stderr)
    return names


def checkpoint(folder: Path) -> Optional[str]:
    """Returns --checkpoint as a path prefix, or None where it is not given.

    Raises:
        InputError: There is no such checkpoint.
    """
    if FLAGS.checkpoint is None:
        return None
    named = FLAGS.checkpoint
    if named == "best":
        kept = [str(path) for path in sorted((folder / "best").glob("model.ckpt-*.index"))]
        if not kept:
            raise InputError(f"--checkpoint best: {folder} has none yet; the first evaluation of a run makes it")
        named = kept[-1]
    prefix = str(folder / f"model.ckpt-{named}") if named.isdigit() else str(path_of(named, "--checkpoint"))
    prefix = prefix[: -len(".index")] if prefix.endswith(".index") else prefix
    if not path_of(prefix + ".index", "--checkpoint").is_file():
        raise InputError(f"--checkpoint {named}: there is no {prefix}.index")
    return prefix
