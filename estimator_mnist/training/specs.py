"""The TrainSpec and the EvalSpec of a run."""

import contextlib
from typing import Iterator, Optional, Sequence

import tensorflow as tf

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.distribute.tf_config import Task
from estimator_mnist.training.estimator import InputFn
from input_fns.errors import reason


@contextlib.contextmanager
def errors_of_augmentation(experiment: Experiment) -> Iterator[None]:
    """A context that names a user's augmentation where an op of it fails while the input is read.

    Raises:
        UserCodeError: An op of the user's function failed.
    """
    try:
        yield
    except tf.errors.OpError as error:
        augment = experiment.user_function("augment")
        # The project's own ops of the input pipeline cannot fail on images and labels that were checked.
        if augment and "[[IteratorGetNext" in str(error):
            raise augment.refuse(f"failed: {type(error).__name__}: {reason(error)}") from error
        raise


def training_spec(
    experiment: Experiment,
    data: input_fns.Data,
    start: int,
    hooks: Sequence[tf.estimator.SessionRunHook],
    task: Optional[Task] = None,
) -> tf.estimator.TrainSpec:
    """Returns what `train_and_evaluate` trains on, from a step on, in one process or in a task of a cluster."""
    return tf.estimator.TrainSpec(
        input_fn=lambda: input_fns.train_input_fn(
            data.train,
            batch_size=experiment.batch_size,
            seed=experiment.seed,
            stops=experiment.evaluation_steps,
            start=start,
            steps_per_block=experiment.steps_per_loop,
            input=experiment.input,
            augment=experiment.user_function("augment") or experiment.augment,
            augment_strength=experiment.augment_strength,
            first_examples=experiment.curvature_examples,
            share=strategies.share(experiment, task),
        ),
        max_steps=experiment.total_steps,
        hooks=hooks,
    )


def evaluation_spec(
    experiment: Experiment,
    input_fn: InputFn,
    exporters: Sequence[tf.estimator.Exporter],
    throttle_seconds: int = 0,
) -> tf.estimator.EvalSpec:
    """Returns what `train_and_evaluate` evaluates: by default every checkpoint, however soon it comes."""
    return tf.estimator.EvalSpec(
        input_fn=input_fn,
        steps=None,  # all of the split
        name=experiment.evaluated_split,
        exporters=exporters,
        start_delay_secs=0,
        throttle_secs=throttle_seconds,
    )
