"""What the machine could do at best: "matmul", the peak of a large product, and the bare arithmetic of a step.

Prints images per second as the peers do: for dense those of a step that does nothing but its three large products and
Adam's update of its parameters, in NumPy-free TensorFlow ops; for conv those of its arithmetic at the matmul peak.
"""

import time

import tensorflow as tf

from benchmarks.peers.task import from_command_line, report

task = from_command_line()
# Multiply-adds of a trained image: forward, and twice that backward but for the first layer's input gradient.
CONV_FLOPS = 2 * (24 * 24 * 64 * 25 * 2 + 10 * 10 * 96 * 576 * 3 + 2400 * 128 * 3 + 128 * 10 * 3)


def matmul_peak() -> float:
    """Returns FLOP/s of a product of 4096-cubes, the best of five."""
    a = tf.random.uniform([4096, 4096])
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        tf.matmul(a, a).numpy()
        best = min(best, time.perf_counter() - began)
    return 2 * 4096**3 / best


@tf.function
def bare_dense_steps(x, w1, w2, m1, v1, count):
    for _ in tf.range(count):
        h = tf.matmul(x, w1)
        logits = tf.matmul(h, w2)
        g2 = tf.matmul(h, logits, transpose_a=True)
        gh = tf.matmul(logits, w2, transpose_b=True)
        g1 = tf.matmul(x, gh, transpose_a=True)
        scalars = {"beta1_power": 0.9, "beta2_power": 0.999, "lr": 0.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}
        tf.raw_ops.ResourceApplyAdam(var=w1.handle, m=m1.handle, v=v1.handle, grad=g1, **scalars)
        w2.assign_sub(0.0 * g2)


if task.variant == "matmul":
    report(matmul_peak() / CONV_FLOPS)
else:
    x = tf.random.uniform([64, 784])
    variables = [tf.Variable(tf.random.uniform(shape) * 0.01) for shape in ([784, 128], [128, 10])]
    slots = [tf.Variable(tf.zeros([784, 128])) for _ in range(2)]
    bare_dense_steps(x, *variables, *slots, tf.constant(200))
    began = time.perf_counter()
    bare_dense_steps(x, *variables, *slots, tf.constant(3000))
    report(3000 * 64 / (time.perf_counter() - began))
