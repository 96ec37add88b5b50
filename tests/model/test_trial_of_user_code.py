"""What the trial of a user's network and functions, before a run writes anything, refuses in one line."""

import pytest

from estimator_mnist import architectures
from estimator_mnist.config import assembly
from estimator_mnist.model import user_functions
from input_fns import InputError

LAYERS = """
from dataclasses import dataclass

import tensorflow as tf
from estimator_mnist.layers import Activation, Dense, Flatten, Layer, Residual, Weight, relu

def network(*layers):
    return lambda experiment: [Flatten("flatten"), *layers, Dense("logits", experiment.classes)]

@dataclass(frozen=True)
class Scale(Layer):
    def weights(self, shape):
        return {"scale": Weight(shape[-1:], 0.0, start=1.0)}

    def compute(self, x, weights):
        return x * weights["scale"]

class OwnInit(Layer):
    def __init__(self, name, factor):
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "factor", factor)

    def compute(self, x, weights):
        return x * self.factor

class NoWeight(Scale):
    def weights(self, shape):
        return {"scale": shape[-1:]}

class WeightList(Scale):
    def weights(self, shape):
        return [Weight(shape[-1:], 0.0)]

class WrongShape(Scale):
    def compute(self, x, weights):
        return x[:, :5]

class NoTuple(Scale):
    def output_shape(self, shape):
        return shape[0]

class Raises(Scale):
    def compute(self, x, weights):
        raise ValueError("no")

class Nothing(Scale):
    def compute(self, x, weights):
        return None

class Double(Scale):
    def compute(self, x, weights):
        return tf.cast(x, tf.float64)

class NoGradient(Scale):
    def compute(self, x, weights):
        return tf.stop_gradient(x * weights["scale"])

class Variable(Scale):
    def compute(self, x, weights):
        return x * weights["scale"] * tf.Variable(lambda: tf.ones([784]))

class Noise(Scale):
    def compute(self, x, weights):
        return x * weights["scale"] + tf.random.normal(tf.shape(x))

class NoCompute(Layer):
    pass

good = network(Scale("x"), Residual("r", [OwnInit("own", 2.0), Scale("x")], activation=relu))
no_weight, weight_list, wrong_shape, no_tuple, raises, nothing, double, no_gradient, variable, noise, no_compute = [
    network(of("x"))
    for of in (
        NoWeight, WeightList, WrongShape, NoTuple, Raises, Nothing, Double, NoGradient, Variable, Noise, NoCompute
    )
]
no_list = network(Residual("r", Scale("x")))
calls = []

def another(experiment):
    calls.append(1)
    return network(Dense("hidden", len(calls)))(experiment)

def deep(experiment):
    layers = [Scale("x")]
    for _ in range(2000):
        layers = [Residual("r", layers)]
    return network(*layers)(experiment)
"""
FUNCTIONS = """
import tensorflow as tf

def nothing(labels, logits):
    pass

def flip(image, seed):
    return tf.image.random_flip_left_right(image)

def shuffled(image, seed):
    return tf.cond(seed[0] > 0, lambda: image, lambda: tf.random.shuffle(image))
"""


@pytest.fixture
def check(sample, tmp_path):
    """Checks the experiment with some settings, whose files it writes."""
    (tmp_path / "mine.py").write_text(LAYERS)
    (tmp_path / "functions.py").write_text(FUNCTIONS)

    def checked(**settings):
        paths = {name: f"{tmp_path}/{value}" if ".py:" in value else value for name, value in settings.items()}
        user_functions.check(assembly.experiment(sample, {"model": "dense", **paths}))

    return checked


def test_layers_of_a_user_pass(check):
    check(model="mine.py:good")


@pytest.mark.parametrize(
    "function, message",
    [
        ("no_weight", r"layer x: weight scale is \(784,\); it must be a Weight\(shape, limit\)"),
        ("weight_list", "layer x: weights returned list; it must return a dict"),
        ("wrong_shape", r"layer x: compute returned float32 of shape \(None, 5\) for float32 of shape \(None, 784\)"),
        ("no_tuple", "layer x: output_shape returned 784; it must return a tuple of integers"),
        ("raises", r"layer x: mine\.py:44: ValueError: no$"),
        ("nothing", "layer x: compute returned NoneType; it must return a tensor"),
        ("double", r"layer x: compute returned float64 of shape \(None, 784\)"),
        ("no_gradient", "layer x: no gradient reaches its weight scale"),
        ("variable", "layer x: compute created a variable; say in weights what is trained"),
        ("noise", r"draws random numbers \(RandomStandardNormal\) that a resumed run would not repeat"),
        ("no_compute", "layer x: NoCompute has no method compute"),
        ("no_list", "layer r: a branch is Scale.*; it must be a list of layers"),
        ("another", "returned other layers at its second call; they must be equal"),
        ("deep", "layers within layers are too deep for Python"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_in_one_line(check, function, message):
    with pytest.raises(InputError, match=rf"^--model mine\.py:{function}: {message}"):
        check(model=f"mine.py:{function}")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"loss": "functions.py:nothing"}, r"functions\.py: nothing returned nothing; it must return the loss of each"),
        ({"augment": "functions.py:flip"}, r"--augment functions\.py:flip: draws random numbers \(RandomUniform\)"),
        ({"augment": "functions.py:shuffled"}, r"--augment functions\.py:shuffled: draws random numbers \(RandomSh"),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_in_one_line(check, settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        check(**settings)


def test_a_users_function_is_called_once_for_an_experiment(sample, tmp_path):
    (tmp_path / "counted.py").write_text(
        "from estimator_mnist.layers import Dense, Flatten\n\n"
        "def counted(experiment, calls=[]):\n"
        "    calls.append(1)\n"
        "    assert len(calls) < 2\n"
        "    return [Flatten('flatten'), Dense('logits', experiment.classes)]\n"
    )
    experiment = assembly.experiment(sample, {"model": f"{tmp_path}/counted.py:counted"})
    for _ in range(3):
        assert architectures.create_network(experiment).parameters == 7850
