"""The time of an all-reduce of the workers in TF_CONFIG, by the project's own code, in a loop as in training.

    python -I estimator_mnist/system/run_module.py benchmarks.peers.all_reduce SIZE

SIZE is the number of float32 values in the vector. The chief prints one line of JSON, {"seconds": [a value for each
session call, per all-reduce]}.
"""

import json
import sys
import tempfile
import time
from typing import List

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies, tf_config

LOOPS, CALLS = 50, 12  # all-reduces per session call, and session calls, of which the first two are the warm-up


class Timer(tf.estimator.SessionRunHook):
    def __init__(self) -> None:
        self.seconds: List[float] = []

    def before_run(self, run_context):
        self._began = time.perf_counter()

    def after_run(self, run_context, run_values):
        self.seconds.append((time.perf_counter() - self._began) / LOOPS)


def main(size: int) -> None:
    experiment = Experiment(strategy="multi_worker")
    task = tf_config.read(experiment.strategy)
    strategies.begin(experiment, task)

    def model_fn(features: tf.Tensor, labels: tf.Tensor, mode: str) -> tf.estimator.EstimatorSpec:
        return spec(features, mode)

    @tf.autograph.experimental.do_not_convert
    def spec(features: tf.Tensor, mode: str) -> tf.estimator.EstimatorSpec:
        def turn(count: tf.Tensor, vector: tf.Tensor):
            with tf.control_dependencies([vector]):
                (total,) = strategies.summed([vector * 0.5])
            return count + 1, total

        tf.compat.v1.disable_control_flow_v2()
        state = (tf.constant(0), tf.ones([size]) * features)
        _, vector = tf.while_loop(lambda count, _: count < LOOPS, turn, state, parallel_iterations=1, back_prop=False)
        with tf.control_dependencies([vector]):
            step = tf.compat.v1.train.get_or_create_global_step().assign_add(1)
        return tf.estimator.EstimatorSpec(mode, loss=vector[0], train_op=tf.group(step))

    def input_fn() -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((1.0, 0)).repeat()

    timer = Timer()
    with tempfile.TemporaryDirectory() as model_dir:
        config = tf.estimator.RunConfig(
            model_dir=model_dir,
            session_config=tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1),
            save_checkpoints_secs=None,
            save_summary_steps=None,
            log_step_count_steps=None,
            **strategies.settings(experiment, task),
        )
        tf.estimator.train_and_evaluate(
            tf.estimator.Estimator(model_fn, config=config),
            tf.estimator.TrainSpec(input_fn, max_steps=CALLS, hooks=[timer]),
            tf.estimator.EvalSpec(input_fn),
        )
    if task and task.is_chief:
        print(json.dumps({"seconds": timer.seconds[2:]}))


if __name__ == "__main__":
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)
    main(int(sys.argv[1]))
