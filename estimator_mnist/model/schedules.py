"""Learning-rate schedules, as functions of the step."""

import math

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment

# "paper": the rate of each pass as a share of the first. LeCun et al. 1998, section III.B: 0.0005 twice, 0.0002 three
# times, 0.0001 three times, 0.00005 four times, and 0.00001 after that.
PAPER_SHARES = (1.0,) * 2 + (0.4,) * 3 + (0.2,) * 3 + (0.1,) * 4 + (0.02,)
WARM_UP = 0.2  # share of the run in which the rate of one_cycle rises


def learning_rate(experiment: Experiment, steps: tf.Tensor) -> tf.Tensor:
    """Returns the rate of each step (int64 [n], counted from 0), float64 [n]."""
    peak, total = tf.constant(experiment.learning_rate, tf.float64), experiment.total_steps
    done = tf.cast(steps, tf.float64) / total
    if experiment.learning_rate_schedule == "constant":
        return tf.fill(tf.shape(steps), peak)
    if experiment.learning_rate_schedule == "paper":
        passes = tf.minimum(steps // experiment.steps_per_epoch, len(PAPER_SHARES) - 1)
        return peak * tf.gather(tf.constant(PAPER_SHARES, tf.float64), passes)
    if experiment.learning_rate_schedule == "cosine":  # arXiv 1608.03983, without restarts
        return peak * 0.5 * (1.0 + tf.cos(math.pi * done))
    # one_cycle: up in a line, then down to zero in a line. Half a step late, so that no step has a rate of zero.
    middle = done + 0.5 / total
    return peak * tf.minimum(middle / WARM_UP, (1.0 - middle) / (1.0 - WARM_UP))
