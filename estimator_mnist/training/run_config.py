"""The RunConfig of a run: its model_dir, its checkpoints and the settings of its sessions."""

from pathlib import Path
from typing import Optional

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.distribute.tf_config import Task
from estimator_mnist.model import cpu_parallelism

KEEP_CHECKPOINTS = 5


def create(experiment: Experiment, model_dir: Path, task: Optional[Task] = None) -> tf.estimator.RunConfig:
    """Returns the RunConfig of an experiment. The project's own hooks save and log, so Estimator's are off."""
    cpu_parallelism.limit_threads(experiment)
    return tf.estimator.RunConfig(
        model_dir=str(model_dir),
        tf_random_seed=experiment.seed,
        session_config=session_config(experiment),
        save_summary_steps=None,
        log_step_count_steps=None,
        keep_checkpoint_max=KEEP_CHECKPOINTS,
        # hooks.EvaluationSaver decides when to save. Outside a cluster, Estimator requires a value all the same.
        save_checkpoints_secs=None,
        save_checkpoints_steps=None if task else experiment.total_steps,
        **strategies.settings(experiment, task),
    )


def session_config(experiment: Experiment) -> tf.compat.v1.ConfigProto:
    """Returns the session settings of an experiment, for one machine with or without GPUs."""
    config = tf.compat.v1.ConfigProto(
        allow_soft_placement=experiment.allow_soft_placement,
        log_device_placement=experiment.log_device_placement,
        inter_op_parallelism_threads=experiment.inter_op_threads,
        intra_op_parallelism_threads=cpu_parallelism.intra_op_threads(experiment),
    )
    if experiment.replicas:
        config.device_count["CPU"] = experiment.replicas
    config.gpu_options.allow_growth = experiment.allow_growth
    config.gpu_options.per_process_gpu_memory_fraction = experiment.gpu_memory_fraction
    if experiment.xla:
        config.graph_options.optimizer_options.global_jit_level = tf.compat.v1.OptimizerOptions.ON_1
    if experiment.mixed_precision:
        config.graph_options.rewrite_options.auto_mixed_precision = config.graph_options.rewrite_options.ON
    return config
