"""Upper bounds of the throughput on this machine: the bare arithmetic of a step, or its arithmetic at the matmul peak.

Prints images per second as the peers do. For dense: a step of nothing but its matrix products and Adam's update of its
large kernel, in TensorFlow ops. For conv, variant "matmul": the arithmetic of a step at the speed of a large product.
"""

import time
from typing import List

import tensorflow as tf

from benchmarks.peers.task import from_command_line, report

task = from_command_line()
# FLOPs of a trained image: forward, and twice as many backward, except for the input gradient of the first layer.
CONV_FLOPS = 2 * (24 * 24 * 64 * 25 * 2 + 10 * 10 * 96 * 576 * 3 + 2400 * 128 * 3 + 128 * 10 * 3)


def matmul_peak() -> float:
    """Returns the FLOP/s of a product of two 4096 x 4096 matrices, the best of five."""
    a = tf.random.uniform([4096, 4096])
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = min(best, time.perf_counter() - began)
    return 2 * 4096**3 / best


def bare_dense_steps(session: tf.compat.v1.Session, steps: int) -> tf.Operation:
    """Returns an op that runs `steps` steps of nothing but products and Adam, in the fastest arrangement found.

    The hidden layer is split into two halves, and each product runs in one thread.
    """
    x = tf.identity(tf.compat.v1.Variable(tf.random.uniform([64, 784]), use_resource=False))
    halves = [(variable([784, 64]), variable([64, 10]), variable([784, 64]), variable([784, 64])) for _ in range(2)]

    def step(number: tf.Tensor) -> tf.Tensor:
        updates = []
        for kernel, out_kernel, m, v in halves:
            with tf.control_dependencies([number]):
                hidden = tf.matmul(x, kernel.read_value())
            logits = tf.matmul(hidden, out_kernel)
            out_gradient = tf.matmul(hidden, logits, transpose_a=True)
            gradient = tf.matmul(x, tf.matmul(logits, out_kernel, transpose_b=True), transpose_a=True)
            scalars = {"beta1_power": 0.9, "beta2_power": 0.999, "lr": 0.0, "beta1": 0.9, "beta2": 0.999}
            updates += [
                tf.raw_ops.ResourceApplyAdam(
                    var=kernel.handle, m=m.handle, v=v.handle, grad=gradient, epsilon=1e-7, **scalars
                ),
                tf.raw_ops.ResourceApplyGradientDescent(var=out_kernel.handle, alpha=0.0, delta=out_gradient),
            ]
        with tf.control_dependencies(updates):
            return number + 1

    done = tf.while_loop(lambda number: number < steps, step, [tf.constant(0)], back_prop=False, parallel_iterations=1)
    session.run(tf.compat.v1.global_variables_initializer())
    return tf.group(done)


def variable(shape: List[int]) -> tf.Variable:
    return tf.compat.v1.Variable(tf.random.uniform(shape) * 0.01, use_resource=True)


if task.variant == "matmul":
    report(matmul_peak() / CONV_FLOPS)
else:
    tf.compat.v1.disable_eager_execution()
    tf.compat.v1.disable_control_flow_v2()
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
    with tf.compat.v1.Session(config=config) as session:
        block = bare_dense_steps(session, 300)
        session.run(block)
        began = time.perf_counter()
        for _ in range(10):
            session.run(block)
        report(3000 * 64 / (time.perf_counter() - began))
