"""The commands, each from flags to exit code. A command imports TensorFlow only when it needs it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

import input_fns
from estimator_mnist.cli import console, launchers, run_inputs
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.distribute import tf_config
from estimator_mnist.distribute.tf_config import Task
from estimator_mnist.model_dir import checkpoint_names, prepare, results
from estimator_mnist.system import errors, terminal
from estimator_mnist.system.paths import path_of
from estimator_mnist.system.signals import Stopped, Stopper
from estimator_mnist.system.tensorflow_setup import configure_tensorflow, quiet_tensorflow
from input_fns import InputError

if TYPE_CHECKING:
    from estimator_mnist.training.job import Job


def train(started: float) -> int:
    """Trains to the end, or says that the run is finished."""
    with Stopper() as stopper:
        try:
            return _train(started, stopper)
        except Stopped as stopped:
            saved = "" if stopped.step is None else f" after step {stopped.step:,}, which is saved"
            terminal.say(f"Stopped by {stopped}{saved}; rerun the same command to resume")
            return stopped.exit_code


def _train(started: float, stopper: Stopper) -> int:
    quiet_tensorflow(flags.verbose())
    model_dir = flags.model_dir()
    task = tf_config.read(FLAGS.strategy or "none")
    data = run_inputs.named_data()
    experiment = flags.experiment(data)
    if task and not task.is_chief:
        return _take_part(_job(experiment, data, model_dir, stopper, task), task)
    if prepare.is_new(model_dir, FLAGS.clean):
        _check_network(experiment)
    with prepare.opened_for(experiment, model_dir, FLAGS.clean):
        console.show_data(data, experiment.evaluated_split)
        outcome = results.read(model_dir)
        if outcome:
            terminal.say(f"{model_dir}: this experiment is finished (--clean starts it over)")
        else:
            outcome = _train_to_the_end(_job(experiment, data, model_dir, stopper, task), started)
    console.show_results(outcome)
    console.show_files(model_dir)
    return 0


def _check_network(experiment: Experiment) -> None:
    """Checks the network and the user functions of a new run, before anything is written for it; raises InputError."""
    _configure_tensorflow(experiment)
    from estimator_mnist.model import user_functions

    user_functions.check(experiment)


def _job(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, stopper: Stopper, task: Optional[Task]
) -> "Job":
    """Returns what this process works on, once it has joined the cluster, if there is one."""
    _configure_tensorflow(experiment)
    from estimator_mnist.training.cluster import worker
    from estimator_mnist.training.job import Job

    cluster = worker.join(task, experiment, model_dir, FLAGS.cluster_timeout, FLAGS.evaluator)
    return Job(experiment, data, model_dir, stopper, console.TerminalProgress(experiment), cluster)


def _train_to_the_end(job: "Job", started: float) -> Dict[str, Any]:
    """Returns the content of results.json."""
    from estimator_mnist import pipeline

    with errors.as_user_error(job.model_dir / FILE_NAME, job.data):
        outcome, classified = pipeline.run(job, started)
    console.show_predictions(classified, job.experiment.class_names)
    return outcome


def _take_part(job: "Job", task: Task) -> int:
    """Does the part of a task that is not the chief."""
    from estimator_mnist.training.cluster import worker

    assert job.cluster
    with errors.as_user_error(job.model_dir / FILE_NAME, job.data):
        done = worker.take_part(job, job.cluster, FLAGS.clean)
    terminal.say(f"{task.name}: {'done' if done else 'nothing to do: the run is trained to its end'}")
    return 0


def evaluate(started: float) -> int:
    """Evaluates a checkpoint on the split that its run is evaluated on, and compares it with that of another run."""
    model_dir, experiment = run_inputs.trained_run()
    checkpoint = checkpoint_names.prefix_of(FLAGS.checkpoint, model_dir)
    data = run_inputs.data_of(experiment, model_dir)
    against = path_of(FLAGS.against, "--against") if FLAGS.against else None
    if against:
        other = flags.override_session(prepare.stored_experiment(against, "--against")).in_one_process()
        others_data = run_inputs.data_of(other, against)
    _configure_tensorflow(experiment)
    from estimator_mnist.evaluation import comparison, evaluate

    with errors.as_user_error(model_dir / FILE_NAME, data):
        result, classified = evaluate.evaluate(experiment, data, model_dir, checkpoint)
    if against:
        with errors.as_user_error(against / FILE_NAME, others_data):
            others = evaluate.evaluate(other, others_data, against).classified
        compared = comparison.compare(classified, others, model_dir, against)
        result["against"] = {"model_dir": str(against), **compared._asdict()}
    if FLAGS.json:
        print(json.dumps(result))
        return 0
    evaluate.show(result, experiment)
    if against:
        comparison.show(compared, model_dir, against)
    return 0


def predict(started: float) -> int:
    """Classifies image files."""
    model_dir, experiment = run_inputs.trained_run()
    if not FLAGS.files:
        raise InputError("predict: names no files; give image files, folders of them, or - for standard input")
    quiet_tensorflow(flags.verbose())
    from estimator_mnist.predict import command

    def load() -> command.Classifier:
        _configure_tensorflow(experiment)
        from estimator_mnist.predict import classifier

        return classifier.load(model_dir, experiment)

    options = command.Options(FLAGS.files, FLAGS.preprocess, FLAGS.json, FLAGS.contact_sheet)
    command.run(options, experiment, load)
    return 0


def export(started: float) -> int:
    """Writes a checkpoint in other formats and checks each of them."""
    formats = flags.formats()
    model_dir, experiment = run_inputs.trained_run()
    checkpoint = checkpoint_names.prefix_of(FLAGS.checkpoint, model_dir)
    data = run_inputs.data_of(experiment, model_dir)
    with prepare.in_use(model_dir):
        _configure_tensorflow(experiment)
        from estimator_mnist.export import command

        with errors.as_user_error(model_dir / FILE_NAME, data):
            rows, failures = command.export(experiment, data, model_dir, checkpoint, formats)
    if FLAGS.json:
        print(json.dumps([row._asdict() for row in rows]))
    else:
        command.show(rows, experiment.evaluated_split)
    for failure in failures:
        print(f"error: {terminal.printable(str(failure))}", file=sys.stderr)
    return 1 if failures else 0


def report(started: float) -> int:
    """Writes the report, the plots and TensorBoard's view of the evaluated split of a finished run again."""
    model_dir, experiment = run_inputs.trained_run()
    outcome = results.read(model_dir)
    if outcome is None:
        raise InputError(f"--model_dir {model_dir}: this run is not finished; train it to its end first")
    data = run_inputs.data_of(experiment, model_dir)
    with prepare.in_use(model_dir):
        _configure_tensorflow(experiment)
        from estimator_mnist.report import html_page

        with errors.as_user_error(model_dir / FILE_NAME, data):
            path = html_page.rebuild(experiment, outcome, data, model_dir)
    terminal.say(f"Report: {path}   Plots: {model_dir / 'plots'}")
    return 0


def cluster(started: float) -> int:
    """Trains with several processes of this machine."""
    quiet_tensorflow(flags.verbose())
    from estimator_mnist.cli import local_cluster

    return local_cluster.run(run_inputs.named_data)


def sweep(words: List[str]) -> int:
    """Trains once for every combination of lists of values, or searches.

    Args:
        words: The command line after `sweep`. Its flags take lists and ranges.
    """
    quiet_tensorflow(flags.verbose())
    from estimator_mnist.sweep import command

    return command.run(words, run_inputs.named_data)


def _configure_tensorflow(experiment: Experiment) -> None:
    configure_tensorflow(flags.verbose(), experiment.xla)


COMMANDS: Dict[str, Callable[[float], int]] = {  # each takes time.time() at the start of the process
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "report": report,
    "cluster": cluster,
}
LAUNCHERS: Dict[str, Callable[[List[str]], int]] = {  # of programs with command lines of their own
    "benchmark": launchers.benchmark,
    "tensorboard": launchers.tensorboard,
    "test": launchers.test,
}
