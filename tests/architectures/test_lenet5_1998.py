"""LeNet-5 as published: its layers, codes, losses and step sizes against the formulas of the paper, and its runs."""

import importlib.util
import json
import signal

import numpy as np
import pytest
import tensorflow as tf
from support import end, resumes_to_the_same_end, start, wait_for

from estimator_mnist.architectures import create_network
from estimator_mnist.architectures.lenet5_1998 import digit_codes, hessian_diagonal, paper_layers, penalties
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import LOSSES
from estimator_mnist.layers import scaled_tanh
from estimator_mnist.model import losses, schedules
from estimator_mnist.model.model_fn import model_fn
from input_fns import InputError

ROWS = [
    ("input", (32, 32, 1), 0),
    ("c1", (28, 28, 6), 156),
    ("s2", (14, 14, 6), 12),
    ("c3", (10, 10, 16), 1_516),
    ("s4", (5, 5, 16), 32),
    ("c5", (1, 1, 120), 48_120),
    ("flatten", (120,), 0),
    ("f6", (84,), 10_164),
    ("output", (10,), 0),
]
FAN_IN = {"c1": 25, "s2": 4, "s4": 4, "c5": 400, "f6": 120}


def experiment(**fields) -> Experiment:
    return Experiment(**{"model": "lenet5", "lenet5_form": "1998", **fields})


@pytest.fixture(scope="module")
def digits(sample):
    images, labels = sample.train.arrays()
    return images[:40].astype(np.float32) / 255, labels[:40]


@pytest.fixture(scope="module")
def computed(digits):
    """The weights, by (layer, weight), and the output of each layer, by name, of an untrained network."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = create_network(experiment(seed=3))
        network.build(3)
        outputs = [output for (output,) in network.outputs(tf.constant(digits[0]))]
        session.run(tf.compat.v1.global_variables_initializer())
        weights = session.run({key: variable.parts[0] for key, variable in network.variables.items()})
        return weights, dict(zip([layer.name for layer in network.layers], session.run(outputs)))


def test_every_layer_has_the_shape_and_parameters_of_the_paper():
    network = create_network(experiment())
    assert network.table() == ROWS
    assert network.parameters == 60_000


def test_the_input_is_the_image_on_background(digits, computed):
    plane = computed[1]["input"]
    assert np.allclose(plane[:, 2:30, 2:30], digits[0] * 1.275 - 0.1, atol=1e-6)
    border = np.ones((32, 32), bool)
    border[2:30, 2:30] = False
    assert np.all(plane[:, border] == np.float32(-0.1))
    assert abs(plane.mean()) < 0.1 and plane.max() == pytest.approx(1.175)


def squash(x):
    return 1.7159 * np.tanh(2 / 3 * x)


def test_the_squashing_function_maps_one_to_one():
    with tf.compat.v1.Session() as session:
        assert np.allclose(session.run(scaled_tanh(tf.constant([1.0, -1.0]))), [1, -1], atol=1e-4)


@pytest.mark.parametrize("layer, below", [("s2", "c1"), ("s4", "c3")])
def test_subsampling_squashes_coefficient_times_window_sum_plus_bias(layer, below, computed):
    weights, outputs = computed
    x = outputs[below]
    total = x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]
    expected = squash(weights[layer, "coefficient"] * total + weights[layer, "bias"])
    assert np.allclose(outputs[layer], expected, atol=1e-5)


def test_c3_is_connected_to_the_maps_of_table_1(computed):
    weights, outputs = computed
    x, kernel, first = outputs["s2"], weights["c3", "kernel"], 0
    assert [len(maps) for maps in paper_layers.C3_SEES] == [3] * 6 + [4] * 9 + [6]
    assert all(sum(seen in maps for maps in paper_layers.C3_SEES) == 10 for seen in range(6))
    for number, maps in enumerate(paper_layers.C3_SEES):
        own = kernel[:, :, first : first + len(maps)]
        first += len(maps)
        patch = x[:, 2:7, 3:8][..., list(maps)]  # the input of the unit at row 2, column 3
        expected = squash((patch * own).sum((1, 2, 3)) + weights["c3", "bias"][number])
        assert np.allclose(outputs["c3"][:, 2, 3, number], expected, atol=1e-5)
    assert first == kernel.shape[2] == 60


def test_each_unit_of_c5_is_connected_to_all_of_s4(computed):
    weights, outputs = computed
    sums = outputs["s4"].reshape(-1, 400) @ weights["c5", "kernel"].reshape(400, 120) + weights["c5", "bias"]
    assert outputs["c5"].shape[1:] == (1, 1, 120)
    assert np.allclose(outputs["c5"][:, 0, 0], squash(sums), atol=1e-5)


def test_weights_are_drawn_within_2_4_divided_by_the_inputs(computed):
    weights, _ = computed
    for (layer, _), value in weights.items():
        if layer != "c3":
            assert np.abs(value).max() <= 2.4 / FAN_IN[layer]
            assert value.size < 100 or np.abs(value).max() > 0.9 * 2.4 / FAN_IN[layer]
    inputs = np.repeat([25 * len(maps) for maps in paper_layers.C3_SEES], [len(m) for m in paper_layers.C3_SEES])
    share = np.abs(weights["c3", "kernel"]).max((0, 1)) / (2.4 / inputs)
    assert share.max() <= 1 and share.min() > 0.6


def test_the_codes_are_ten_different_digits_of_7_by_12():
    codes = digit_codes.codes(10)
    assert codes.shape == (10, 84) and set(np.unique(codes)) == {-1, 1}
    differing = (codes[:, None] != codes[None]).sum(2)[~np.eye(10, dtype=bool)]
    assert differing.min() >= 10
    one = codes[1].reshape(12, 7)
    assert ["".join(" #"[int(pixel > 0)] for pixel in row) for row in one[[0, 3, 9, 11]]] == [
        "   ##  ",
        "   ##  ",
        " ######",
        "       ",
    ]


def test_logits_are_minus_the_squared_distances_from_the_codes(computed):
    outputs = computed[1]
    distances = ((outputs["f6"][:, None] - digit_codes.codes(10)) ** 2).sum(2)
    assert np.allclose(outputs["output"], -distances, rtol=1e-5)


def expected_loss(name, y, labels):
    right = y[np.arange(len(y)), labels]
    if name == "mse":
        return right
    rest = np.exp(-penalties.RUBBISH_PENALTY) if name == "map" else 0.0
    return right + np.log(rest + np.exp(-y).sum(1))


@pytest.mark.parametrize("image_shape", [(28, 28, 3), (40, 40, 1), (28, 34, 1), (27, 28, 1)])
def test_images_that_the_paper_s_plane_cannot_hold_are_refused(image_shape):
    with pytest.raises(InputError, match=r"^--lenet5_form: 1998 is not possible; it must be today: 1998 takes grey"):
        Experiment(model="lenet5", lenet5_form="1998", image_shape=image_shape)


def test_smaller_images_lie_in_the_middle_of_the_plane():
    network = create_network(Experiment(model="lenet5", lenet5_form="1998", image_shape=(20, 28, 1)))
    assert network.parameters == 60_000


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_are_those_of_equations_8_and_9(loss):
    rng = np.random.default_rng(0)
    y, labels = rng.uniform(0, 40, (50, 10)), np.arange(50) % 10
    y[::2] /= 10
    function = losses.create(experiment(loss=loss))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        logits, classes = tf.constant(-y, tf.float32), tf.constant(labels, tf.int32)
        values = function.per_example(classes, logits)
        in_training, gradient = function.with_gradient(classes, logits)
        automatic = tf.gradients(values, logits)[0]
        posterior = penalties.posterior(loss, logits)
        values, in_training, gradient, automatic, posterior = session.run(
            [values, in_training, gradient, automatic, posterior]
        )
    assert np.allclose(values, expected_loss(loss, y, labels), atol=1e-4)
    assert np.allclose(in_training, values, atol=1e-5) and np.allclose(gradient, automatic, atol=1e-5)
    assert np.allclose(posterior - np.eye(10)[labels], gradient, atol=1e-5)
    assert (values >= 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_the_second_derivative_of_the_loss_to_f6_is_exact(loss):
    rng = np.random.default_rng(1)
    codes = digit_codes.codes(10).astype(np.float64)
    x = codes[[3, 8]] * [[0.2], [0.6]] + 0.1 * rng.standard_normal((2, 84))  # between the classes

    def value(x):
        return expected_loss(loss, ((x[:, None] - codes) ** 2).sum(2), np.array([3, 8]))

    step = 1e-4
    expected = np.zeros_like(x)
    for unit in range(84):
        aside = np.zeros(84)
        aside[unit] = step
        expected[:, unit] = (value(x + aside) - 2 * value(x) + value(x - aside)) / step**2
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        layer = create_network(experiment(loss=loss)).layers[-1]
        inputs = tf.constant(x, tf.float32)
        posterior = penalties.posterior(loss, layer.compute(inputs, {}))
        derivative = session.run(layer.second_derivative(inputs, posterior))
    assert np.allclose(derivative, expected, atol=2e-3) and (derivative >= 0).all()


def conv_uses(x, size):
    """Returns the inputs of each weight of a kernel at each position: [n, rows, columns, size, size, maps]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    return np.moveaxis(windows, 3, -1)


def test_second_derivatives_are_propagated_as_in_appendix_c(digits, computed):
    """Against equations 25 and 27 in NumPy, connection by connection, for the loss of equation 8."""
    weights, outputs = {key: value.astype(np.float64) for key, value in computed[0].items()}, computed[1]

    def slope(name):  # of 1.7159 tanh(2x/3), from its value
        return 1.7159 * 2 / 3 * (1 - (outputs[name].astype(np.float64) / 1.7159) ** 2)

    expected, n = {}, len(digits[0])
    of_sum = 2.0 * slope("f6") ** 2
    x = outputs["flatten"].astype(np.float64)
    expected["f6", "kernel"], expected["f6", "bias"] = (x**2).T @ of_sum / n, of_sum.sum(0) / n
    of_sum = (of_sum @ (weights["f6", "kernel"] ** 2).T) * slope("flatten") ** 2
    x = outputs["s4"].astype(np.float64)
    expected["c5", "kernel"] = np.einsum("nijm,nk->ijmk", x**2, of_sum) / n
    expected["c5", "bias"] = of_sum.sum(0) / n
    of_sum = np.einsum("nk,ijmk->nijm", of_sum, weights["c5", "kernel"] ** 2) * slope("s4") ** 2
    windows = outputs["c3"].astype(np.float64).reshape(n, 5, 2, 5, 2, 16)
    expected["s4", "coefficient"] = (of_sum * (windows**2).sum((2, 4))).sum((0, 1, 2)) / n
    expected["s4", "bias"] = of_sum.sum((0, 1, 2)) / n
    of_sum = (of_sum * weights["s4", "coefficient"] ** 2).repeat(2, 1).repeat(2, 2) * slope("c3") ** 2
    uses = conv_uses(outputs["s2"].astype(np.float64), 5) ** 2
    connections = [(seen, number) for number, maps in enumerate(paper_layers.C3_SEES) for seen in maps]
    parts = [np.einsum("nrc,nrcij->ij", of_sum[..., number], uses[..., seen]) for seen, number in connections]
    expected["c3", "kernel"] = np.stack(parts, -1) / n
    expected["c3", "bias"] = of_sum.sum((0, 1, 2)) / n
    for loss in ("mse", "map"):  # equal where all digits are far from all codes
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            network = create_network(experiment(loss=loss))
            values = {key: [tf.constant(value)] for key, value in computed[0].items()}
            diagonal = session.run(hessian_diagonal.diagonal(loss, network, values, tf.constant(digits[0])))
        assert set(diagonal) == set(weights)
        assert all((value >= 0).all() and np.isfinite(value).all() for value in diagonal.values())
        for key, value in expected.items():
            assert np.allclose(diagonal[key], value, rtol=1e-3, atol=1e-9), key


def test_the_learning_rates_of_the_paper():
    short = experiment(
        learning_rate=0.0005,
        learning_rate_schedule="paper",
        train_examples=5,
        batch_size=2,
        train_epochs=20,
        loss="mse",
    )
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rates = session.run(schedules.learning_rate(short, tf.range(60, dtype=tf.int64)))
    expected = [0.0005] * 2 + [0.0002] * 3 + [0.0001] * 3 + [0.00005] * 4 + [0.00001] * 8
    assert np.allclose(rates, np.repeat(expected, 3))


LECUN = {"loss": "mse", "optimizer": "lecun", "learning_rate": 0.0005, "learning_rate_schedule": "paper"}


def trained(digits, calls, steps_per_loop, batch_size=4, **fields):
    """Returns the variables, by name, after some session calls on successive blocks of 40 digits."""
    images, labels = digits
    short = experiment(train_examples=40, batch_size=batch_size, iterations_per_loop=steps_per_loop, **LECUN, **fields)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.compat.v1.placeholder(tf.float32, [None, 28, 28, 1])
        label = tf.compat.v1.placeholder(tf.int32, [None])
        features = {"image": image, "first_image": tf.constant(images[:20])}
        train_op = model_fn(features, label, tf.estimator.ModeKeys.TRAIN, {"experiment": short}).train_op
        session.run(tf.compat.v1.global_variables_initializer())
        rows = steps_per_loop * batch_size
        for call in range(calls):
            chosen = np.arange(call * rows, (call + 1) * rows) % 40
            session.run(train_op, {image: images[chosen], label: labels[chosen]})
        return {variable.op.name: session.run(variable) for variable in tf.compat.v1.global_variables()}


def test_a_step_of_lecun_is_rate_times_gradient_over_mu_plus_the_second_derivative(digits):
    before, after, later, next_pass = (trained(digits, calls, 1) for calls in (0, 1, 10, 11))
    images, labels = digits
    short = experiment(**LECUN)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = create_network(short)
        values = {key: [tf.constant(before["/".join(key)])] for key in network.trained()}
        logits = network(tf.constant(images[:4]), values=values)
        loss = tf.reduce_sum(losses.create(short).per_example(tf.constant(labels[:4]), logits))
        gradients = dict(zip(values, session.run(tf.gradients(loss, [value for (value,) in values.values()]))))
        wider = hessian_diagonal.as_if_drawn_wider(network, values)
        of_first = session.run(hessian_diagonal.diagonal("mse", network, wider, tf.constant(images[:20])))
        values = {key: [tf.constant(later["/".join(key)])] for key in values}
        of_second = session.run(hessian_diagonal.diagonal("mse", network, values, tf.constant(images[:20])))
    for key, gradient in gradients.items():
        name = "/".join(key)
        step = 0.0005 / (0.02 + of_first[key]) * gradient
        assert np.allclose(before[name] - after[name], step, rtol=2e-3, atol=1e-7), name
        # Estimated at the first step of each pass, kept until the next, and never decreasing.
        largest = np.maximum(of_first[key], of_second[key])
        assert np.allclose(later[f"{name}/lecun/curvature"], of_first[key], rtol=1e-4)
        assert np.allclose(next_pass[f"{name}/lecun/curvature"], largest, rtol=1e-4)
    assert any((of_second[key] > of_first[key]).any() for key in gradients)


@pytest.mark.parametrize("batch_size, steps_per_loop", [(1, 20), (4, 5), (4, 10)])
def test_lecun_is_bitwise_equal_however_its_steps_are_divided_into_session_calls(digits, batch_size, steps_per_loop):
    steps = 120 // batch_size  # three passes
    one_by_one = trained(digits, steps, 1, batch_size)
    in_blocks = trained(digits, steps // steps_per_loop, steps_per_loop, batch_size)
    assert one_by_one["global_step"] == steps and set(one_by_one) == set(in_blocks)
    for name, value in one_by_one.items():
        assert np.array_equal(value, in_blocks[name]), name


def test_wider_weights_shrink_with_the_square_root_of_the_inputs(computed):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = create_network(experiment())
        values = {key: [tf.constant(value)] for key, value in computed[0].items()}
        as_parts = hessian_diagonal.as_if_drawn_wider(network, values)
        wider = session.run({key: part for key, (part,) in as_parts.items()})
    for layer, inputs in FAN_IN.items():
        factor = hessian_diagonal.WIDER / 2.4 * np.sqrt(inputs)
        assert np.allclose(wider[layer, "bias"], computed[0][layer, "bias"] * factor, rtol=1e-5)
    of_first = wider["c3", "kernel"][..., :3] / computed[0]["c3", "kernel"][..., :3]
    assert np.allclose(of_first, hessian_diagonal.WIDER / 2.4 * np.sqrt(75), rtol=1e-5)


RUN = ["--source", "sample", "--model", "lenet5", "--recipe", "paper"]
RUN += ["--train_epochs", "3", "--learning_rate", "0.0001"]  # as there are 4,000 digits and not 60,000


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The model_dir of three passes of the recipe over the sample, without interruption."""
    folder = tmp_path_factory.mktemp("paper") / "run"
    assert start(folder, *RUN).wait(300) == 0
    return folder


def test_the_recipe_learns_and_plots_its_error_beside_that_of_the_paper(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["parameters"] == 60_000
    assert results["final"]["test_accuracy"] > 0.85 > results["untrained"]["test_accuracy"]
    assert (finished / "plots" / "error.png").stat().st_size > 5000
    page = (finished / "report.html").read_text()
    assert "1998, test: 0.95%" in page and "Training and test error beside" in page


def test_a_stopped_run_of_the_recipe_resumes_to_the_same_end(finished, tmp_path):
    killed = tmp_path / "killed"
    process = start(killed, *RUN)
    wait_for(process, killed, "model.ckpt-0.index")
    process.send_signal(signal.SIGTERM)  # within the first pass
    assert end(process)[0] == 143
    assert "Resuming after step" in resumes_to_the_same_end(killed, finished, RUN)


def test_the_formats_give_the_classes_of_the_estimator(finished, cli):
    formats = "saved_model,tflite" + (",onnx" if importlib.util.find_spec("tf2onnx") else "")
    done = cli("export", "--model_dir", finished, "--formats", formats, "--json")
    assert done.returncode == 0, done.stderr
    accuracies = {row["format"]: row["accuracy"] for row in json.loads(done.stdout)}
    assert len(accuracies) == 1 + len(formats.split(",")) and len(set(accuracies.values())) == 1
    keras = cli("export", "--model_dir", finished, "--formats", "keras")
    assert keras.returncode == 1 and "Keras has no layer like input" in keras.stderr


@pytest.mark.parametrize(
    "fields, flag",
    [
        ({"model": "conv"}, "lenet5_form"),
        ({"class_names": tuple("abcdefghijk")}, "lenet5_form"),
        ({"dropout_rate": 0.1}, "dropout_rate"),
        ({"loss": "map", "label_smoothing": 0.1}, "label_smoothing"),
        ({"lenet5_form": "today", "loss": "mse"}, "loss"),
        ({"lenet5_form": "today", "optimizer": "lecun"}, "optimizer"),
        ({"lenet5_form": "today", "model": "conv", "optimizer": "lecun"}, "optimizer"),
    ],
)
def test_settings_that_exclude_each_other_are_refused_in_one_line(fields, flag):
    with pytest.raises(InputError, match=f"^--{flag}: .* is not possible; it must be .*$"):
        experiment(**fields)


def test_other_models_refuse_the_recipe(cli):
    done = cli("--source", "sample", "--model", "dense", "--recipe", "paper")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --recipe paper: is one for --model lenet5")
