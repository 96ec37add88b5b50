"""JAX: one `lax.scan` over the batches of a call, with the whole split on the device."""

import jax
import jax.numpy as jnp

from benchmarks.peers.task import DROPOUT, LEARNING_RATE, from_command_line, images_and_labels, measure

task = from_command_line()
arrays = images_and_labels(task)
images, labels = jnp.asarray(arrays[0]), jnp.asarray(arrays[1])
# XLA's convolution on CPUs is two orders of magnitude slower inside a loop: there the scan is unrolled.
STEPS_PER_CALL, UNROLL = {"dense": (300, 1), "conv": (5, 5)}[task.model]


def glorot(key, shape, fan_in, fan_out):
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) * (6.0 / (fan_in + fan_out)) ** 0.5


def initial(key):
    keys = jax.random.split(key, 4)
    inputs = 784 if task.model == "dense" else 2400
    parameters = {
        "w1": glorot(keys[0], (inputs, 128), inputs, 128),
        "b1": jnp.zeros(128),
        "w2": glorot(keys[1], (128, 10), 128, 10),
        "b2": jnp.zeros(10),
    }
    if task.model == "conv":
        parameters["k1"] = glorot(keys[2], (5, 5, 1, 64), 25, 25 * 64)
        parameters["k2"] = glorot(keys[3], (3, 3, 64, 96), 9 * 64, 9 * 96)
        parameters["c1"], parameters["c2"] = jnp.zeros(64), jnp.zeros(96)
    return parameters


def block(x, kernel, bias):
    x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    x = jax.nn.relu(x + bias)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def loss(parameters, x, y, key):
    if task.model == "conv":
        x = block(block(x, parameters["k1"], parameters["c1"]), parameters["k2"], parameters["c2"])
    x = x.reshape(x.shape[0], -1)
    x = jax.nn.relu(x @ parameters["w1"] + parameters["b1"])
    x = jnp.where(jax.random.bernoulli(key, 1.0 - DROPOUT, x.shape), x / (1.0 - DROPOUT), 0.0)
    logits = x @ parameters["w2"] + parameters["b2"]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()


def adam(parameters, m, v, count, gradients):
    m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, gradients)
    rate = LEARNING_RATE * jnp.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)
    return jax.tree.map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + 1e-7), parameters, m, v), m, v


def step(state, chosen):
    parameters, m, v, count, key = state
    key, dropout_key = jax.random.split(key)
    gradients = jax.grad(loss)(parameters, images[chosen], labels[chosen], dropout_key)
    parameters, m, v = adam(parameters, m, v, count + 1, gradients)
    return (parameters, m, v, count + 1, key), None


@jax.jit
def call(state, key):
    chosen = jax.random.permutation(key, len(images))[: STEPS_PER_CALL * task.batch_size]
    return jax.lax.scan(step, state, chosen.reshape(STEPS_PER_CALL, task.batch_size), unroll=UNROLL)[0]


start = initial(jax.random.key(0))
zeros = jax.tree.map(jnp.zeros_like, start)
state = (start, zeros, zeros, jnp.zeros(()), jax.random.key(1))


def train(steps: int) -> None:
    global state
    for number in range(steps // STEPS_PER_CALL):
        state = call(state, jax.random.key(number))
    jax.block_until_ready(state)


measure(task, train)
