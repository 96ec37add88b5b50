"""Augmented images: functions of (seed, example, epoch) alone, and what the displacement fields do to an image."""

import hashlib
import json
from typing import Any, Dict

import numpy as np
import pytest
import tensorflow as tf
from support import RUN, joined, train

import input_fns
from input_fns import AUGMENTS, InputError, Share
from input_fns.augmentation import augment_images, displacement_fields, random_bits, warp
from input_fns.augmentation.displacement_fields import Augmentation, Fields

KINDS = [kind for kind in AUGMENTS if kind != "none"]
# SHA-256 of the first three batches of 100 of the sample, seed 7. They hold for every release: a run that resumes
# under a newer one sees the same images.
BATCHES_SHA256 = {
    "none": "2d56ecff3d12ddd03a2fbfa973dc7bd526afb3f94dfd0d8808c4c115bfdebb80",
    "affine": "e9e5288222a60519819af50cd3b90a68e9ea9ab09e4053a478abd07bf7282d3c",
    "elastic": "7faf41872bea77e0173b9490a5d1ca04c32a1ce7684420677f52c0f910d1ce22",
    "paper": "50627b77ec34cb7e5f01daef1643218486f99de9c3d4ec8b1e3b95bf4fd89a26",
    "mirror": "8315697a4800b9e46730f3651775b0616aaefde6660e5b831a90691bd8bfa55e",
}


def build(kind: str, strength: float = 1.0) -> Fields:
    return displacement_fields.build(kind, strength, 28, 28)


def augmented_by_original(sample, **arguments: Any) -> Dict[bytes, bytes]:
    """Returns {original image: augmented image} of the first epoch, or of the second with `start` 63."""
    arguments = {"stops": [126] if arguments.get("start") else [63], "batch_size": 64, "seed": 3, **arguments}
    images, labels = joined(train(sample.train, **arguments))
    originals, same_labels = joined(train(sample.train, **{**arguments, "augment": "none"}))
    assert np.array_equal(labels, same_labels) and images.dtype == np.uint8 and images.shape == originals.shape
    pairs = {original.tobytes(): image.tobytes() for original, image in zip(originals, images)}
    assert len(pairs) > 3990
    return pairs


@pytest.mark.parametrize("kind", AUGMENTS)
def test_batches_are_those_of_every_release(sample, kind):
    images, labels = joined(train(sample.train, batch_size=100, seed=7, stops=[3], augment=kind))
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == BATCHES_SHA256[kind]


@pytest.mark.parametrize("kind", ["elastic", "mirror"])
def test_an_augmented_image_depends_on_seed_example_and_epoch_alone(sample, kind):
    one_by_one = augmented_by_original(sample, augment=kind)
    for other in (
        {"steps_per_block": 25},
        {"batch_size": 500, "stops": [8]},
        {"batch_size": 1, "steps_per_block": 333, "stops": [4000]},
        {"input": "numpy"},
    ):
        assert augmented_by_original(sample, augment=kind, **other) == one_by_one, other
    second_epoch = augmented_by_original(sample, augment=kind, start=63)
    other_seed = augmented_by_original(sample, augment=kind, seed=4)
    for changed in (second_epoch, other_seed):
        assert sum(changed[original] != image for original, image in one_by_one.items()) > 3900


@pytest.mark.parametrize("input", ["indexed", "numpy"])
def test_a_resumed_run_sees_the_same_augmented_images(sample, input):
    arguments = {"batch_size": 64, "seed": 9, "stops": [100], "input": input, "augment": "elastic"}
    from_start, resumed = train(sample.train, **arguments), train(sample.train, start=70, **arguments)
    assert len(resumed) == 30
    for (images, labels), (expected_images, expected_labels) in zip(resumed, from_start[70:]):
        assert np.array_equal(images, expected_images) and np.array_equal(labels, expected_labels)


@pytest.mark.parametrize("shape", [(20, 24, 1), (40, 40, 3), (96, 96, 3)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_images_of_every_shape_are_augmented_alike_by_every_input(synthetic, kind, shape):
    split = synthetic(*shape)
    arguments = {"seed": 5, "augment": kind}
    expected = joined(train(split, batch_size=16, stops=[7], **arguments))[0]
    assert expected.shape == (100, *shape)
    blocks = joined(train(split, batch_size=16, stops=[7], steps_per_block=7, **arguments))[0]
    assert np.array_equal(blocks, expected)
    in_order = {}
    for input in ("indexed", "numpy"):
        originals, _ = joined(train(split, batch_size=100, stops=[1], seed=5, input=input))
        images, _ = joined(train(split, batch_size=100, stops=[1], input=input, **arguments))
        in_order[input] = {original.tobytes(): image.tobytes() for original, image in zip(originals, images)}
    assert in_order["indexed"] == in_order["numpy"]
    assert np.mean([original != image for original, image in in_order["indexed"].items()]) > 0.95


def positions(kind: str, numbers: np.ndarray, strength: float = 1.0, height: int = 28, width: int = 28) -> np.ndarray:
    """Returns y and x in pixels of the image, float64 [2, n, height * width], at which random numbers read images."""
    fields = displacement_fields.build(kind, strength, height, width)
    return (fields.offset[:, np.newaxis] + numbers.astype(np.float64) @ fields.moves) / fields.units - 1


def random_numbers(fields: Fields, count: int) -> np.ndarray:
    numbers = np.random.default_rng(0).integers(0, 256, [count, fields.moves.shape[1]])
    if fields.mirrored:
        numbers[:, -1] = numbers[:, -1] // 128
    return numbers


def bilinear(images: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Returns float64 [n, height * width]: images, uint8 [n, height, width], between zeros, read in floating point."""
    padded = np.pad(images.astype(np.float64), [[0, 0], [40, 40], [40, 40]])
    y, x = y + 40, x + 40
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    image = np.arange(len(images))[:, np.newaxis]
    above = padded[image, top, left] * (1 - right) + padded[image, top, left + 1] * right
    below = padded[image, top + 1, left] * (1 - right) + padded[image, top + 1, left + 1] * right
    return above * (1 - down) + below * down


@pytest.mark.parametrize("height, width", [(28, 28), (20, 24), (84, 84)])
@pytest.mark.parametrize("kind", KINDS)
def test_images_are_read_bilinearly_at_the_positions_of_the_fields(sample, kind, height, width, monkeypatch):
    images = sample.train.arrays()[0][:200, -height:, -width:, 0]
    images = images.repeat(-(-height // 28), axis=1).repeat(-(-width // 28), axis=2)
    fields = displacement_fields.build(kind, 1.0, height, width)
    numbers = random_numbers(fields, 200)
    drawn = numbers.copy()
    if fields.mirrored:  # the upper half of a byte's range becomes 1
        drawn[:, -1] *= 128
    monkeypatch.setattr(random_bits, "random_bytes", lambda *_: tf.constant(drawn, tf.uint8))
    examples, epoch = tf.range(200, dtype=tf.int64), tf.constant(0, tf.int64)
    augmented = warp.warped(tf.constant(images[..., np.newaxis]), examples, epoch, Augmentation(0, kind)).numpy()
    assert augmented.shape == (200, height, width, 1)
    expected = bilinear(images, *positions(kind, numbers, height=height, width=width))
    difference = np.abs(augmented.reshape(200, -1) - expected)
    assert difference.max() <= 5 and difference.mean() < 0.3  # positions are rounded to 1/128 pixel, values to 1
    assert (augmented[..., 0] != images).any(axis=(1, 2)).mean() > 0.98


def test_a_vanishing_strength_leaves_images_unchanged(sample):
    for original, image in augmented_by_original(sample, augment="elastic", augment_strength=1e-5).items():
        assert image == original


def test_what_the_limits_mean():
    y, x = (axis.ravel() - 13.5 for axis in np.mgrid[:28, :28])
    middle, affine = np.full([1, 6], 127.5), AUGMENTS["affine"]
    for position, (in_y, in_x) in enumerate(
        [
            (affine.rotation * x, -affine.rotation * y),
            (affine.scaling * y, affine.scaling * x),
            (-affine.squeezing * y, affine.squeezing * x),
            (0 * y, affine.shearing * y),
            (0 * y + affine.translation, 0 * y),
            (0 * y, 0 * y + affine.translation),
        ]
    ):
        for number, sign in ((255, 1), (0, -1)):
            numbers = middle.copy()
            numbers[0, position] = number
            moved = positions("affine", numbers)[:, 0] - 13.5
            assert np.allclose(moved, [y + sign * in_y, x + sign * in_x], atol=0.02)
    mirror = np.full([2, build("mirror").moves.shape[1]], 127.5)
    mirror[:, -1] = 0, 1
    moved = positions("mirror", mirror) - 13.5
    assert np.allclose(moved[:, 0], [y, x], atol=0.02) and np.allclose(moved[:, 1], [y, -x], atol=0.02)


@pytest.mark.parametrize("height, width", [(28, 28), (20, 24), (32, 9)])
def test_the_rubber_sheet_has_the_deviation_and_the_smoothness_of_its_paper(height, width):
    numbers = random_numbers(displacement_fields.build("elastic", 1.0, height, width), 20_000)
    numbers[:, :6] = 127  # no affine part
    y, x = positions("elastic", numbers, height=height, width=width).reshape(2, -1, height, width)
    sheet = y - y.mean(axis=0)
    assert sheet.std(axis=0).min() > 0.75  # in the corners, where bumps from outside are missing
    if (height, width) != (28, 28):
        assert sheet[:, height // 2, width // 2].std() == pytest.approx(AUGMENTS["elastic"].elastic, rel=0.1)
        return
    assert sheet[:, 6:22, 6:22].std(axis=0) == pytest.approx(AUGMENTS["elastic"].elastic, rel=0.05)
    # White noise smoothed by a Gaussian of s pixels correlates as exp(-d**2 / (4 s**2)) over d pixels.
    for distance in (2, 5, 8):
        correlation = np.corrcoef(sheet[:, 14, 10], sheet[:, 14, 10 + distance])[0, 1]
        assert correlation == pytest.approx(np.exp(-(distance**2) / (4 * displacement_fields.SIGMA**2)), abs=0.03)
    assert abs(np.corrcoef(y[:, 14, 14], x[:, 14, 14])[0, 1]) < 0.03


def test_all_channels_of_an_image_move_alike(sample):
    grey = sample.train.arrays()[0][:50]
    planes = [grey, 255 - grey, np.roll(grey, 1, axis=0)]
    colour = np.concatenate(planes, axis=-1)
    examples, epoch = tf.range(50, dtype=tf.int64), tf.constant(3, tf.int64)
    augmented = augment_images.augmented(tf.constant(colour), examples, epoch, Augmentation(1, "elastic")).numpy()
    for channel, plane in enumerate(planes):
        alone = augment_images.augmented(tf.constant(plane), examples, epoch, Augmentation(1, "elastic")).numpy()
        assert np.array_equal(augmented[..., channel], alone[..., 0])


def test_a_larger_image_is_distorted_as_much(sample):
    """Of a digit enlarged threefold, the warped image is the warped digit, enlarged threefold."""
    digits = sample.train.arrays()[0][:50]
    large = digits.repeat(3, axis=1).repeat(3, axis=2)
    examples, epoch = tf.range(50, dtype=tf.int64), tf.constant(0, tf.int64)
    small_warped, large_warped = (
        augment_images.augmented(tf.constant(images), examples, epoch, Augmentation(2, "elastic")).numpy().astype(float)
        for images in (digits, large)
    )
    reduced = large_warped.reshape(50, 28, 3, 28, 3).mean(axis=(2, 4))
    moved = np.abs(small_warped[..., 0] - digits[..., 0]).mean()
    assert np.abs(reduced - small_warped[..., 0]).mean() < 0.3 * moved


@pytest.mark.parametrize("kind", KINDS)
def test_the_larger_an_image_the_fewer_units_a_pixel_has(kind):
    sizes = (20, 28, 40, 96, 224)
    units = {size: displacement_fields.build(kind, 1.0, size, size).units for size in sizes}
    assert units[20] == units[28] == 1 << 15 and units[sizes[-1]] < 1 << 15
    assert list(units.values()) == sorted(units.values(), reverse=True)
    weak = displacement_fields.build(kind, 0.1, sizes[-1], sizes[-1]).units
    assert weak == units[sizes[-1]], "independent of the strength"


@pytest.mark.parametrize("height, width, remedy", [(1000, 1000, "affine"), (28, 1200, "affine")])
def test_images_too_large_for_elastic_augmentation_are_refused(height, width, remedy):
    with pytest.raises(InputError, match=rf"--augment elastic: images of {height}x{width} .* --augment {remedy}"):
        displacement_fields.build("elastic", 1.0, height, width)
    displacement_fields.build(remedy, 1.0, height, width)


@pytest.mark.parametrize("height, width", [(28, 28), (40, 40), (96, 96), (20, 64)])
@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_exact_in_float32_at_the_largest_strength(kind, height, width):
    fields = displacement_fields.build(kind, displacement_fields.LARGEST_STRENGTH, height, width)
    assert np.array_equal(fields.offset, np.rint(fields.offset)) and np.array_equal(fields.moves, np.rint(fields.moves))
    largest = np.full([fields.moves.shape[1], 1], 255)
    largest[-1] = 1 if fields.mirrored else 255
    assert (np.abs(fields.offset) + (largest * np.abs(fields.moves)).sum(axis=1)).max() < 2**24


def test_random_bytes_are_uniform_and_independent_of_each_other():
    def draw(seed: int, epoch: int) -> np.ndarray:
        examples = tf.range(20_000, dtype=tf.int64)
        return random_bits.random_bytes(examples, tf.constant(epoch, tf.int64), seed, 8).numpy()

    first = draw(0, 0)
    counts = np.stack([np.bincount(column.astype(int), minlength=256) for column in first.T])
    chi_squared = ((counts - 20_000 / 256) ** 2 / (20_000 / 256)).sum(axis=1)
    assert counts.shape == (8, 256) and (np.abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)).all()
    others = [first[1:], draw(1, 0)[1:], draw(0, 1)[1:]]
    columns = np.concatenate([first[:-1], *others], axis=1)
    assert np.abs(np.corrcoef(columns.T) - np.eye(32)).max() < 0.04


# A user's function.


def jitter(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    brighter = tf.image.stateless_random_brightness(image, 0.2, seed)
    return tf.image.stateless_random_flip_left_right(brighter, seed + 1)


def show_seed(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the image with the bytes of the seed as its first pixels."""
    flat, bytes_of_seed = tf.reshape(image, [-1]), tf.reshape(tf.bitcast(seed, tf.uint8), [-1])
    return tf.reshape(tf.concat([bytes_of_seed, flat[8:]], axis=0), image.shape)


@pytest.mark.parametrize("shape", [(12, 10, 1), (40, 40, 3)], ids=str)
def test_a_user_s_function_sees_each_image_alike_whatever_the_batches(synthetic, shape):
    split = synthetic(*shape)

    def augmented(function: Any = jitter, **arguments: Any) -> Dict[bytes, bytes]:
        arguments = {"batch_size": 16, "stops": [7], "seed": 3, **arguments}
        images, _ = joined(train(split, augment=function, **arguments))
        originals, _ = joined(train(split, **arguments))
        assert images.shape == (100, *shape) and images.dtype == np.uint8
        return {original.tobytes(): image.tobytes() for original, image in zip(originals, images)}

    expected = augmented()
    assert np.mean([original != image for original, image in expected.items()]) > 0.95
    for other in ({"steps_per_block": 7}, {"batch_size": 100, "stops": [1]}, {"input": "numpy"}):
        assert augmented(**other) == expected, other
    of_every_epoch = [expected, augmented(start=7, stops=[14]), augmented(seed=4)]
    assert all(len({images[original] for images in of_every_epoch}) > 1 for original in expected)


def test_the_seeds_of_a_user_s_function_all_differ(synthetic):
    split = synthetic(12, 10)
    images, _ = joined(train(split, augment=show_seed, batch_size=16, stops=[70], seed=0))
    seeds = images.reshape(1000, -1)[:, :8].copy().view(np.int32)
    assert len({tuple(seed) for seed in seeds.tolist()}) == 1000
    assert len(set(seeds[:, 0].tolist())) > 990 and len(set(seeds[:, 1].tolist())) > 990
    assert abs(np.corrcoef(seeds.T)[0, 1]) < 0.15 and (seeds < 0).mean() == pytest.approx(0.5, abs=0.05)


def test_a_resumed_run_and_each_share_see_what_a_user_s_function_made(synthetic):
    split = synthetic(12, 10)
    arguments = {"augment": jitter, "batch_size": 16, "seed": 9, "stops": [20]}
    unbroken, resumed = train(split, **arguments), train(split, start=11, **arguments)
    assert len(resumed) == 9
    for (images, labels), (expected_images, expected_labels) in zip(resumed, unbroken[11:]):
        assert np.array_equal(images, expected_images) and np.array_equal(labels, expected_labels)
    for number in range(3):
        shares = train(split, share=Share(number, 1, 3), **arguments)
        for (images, _), (expected_images, _) in zip(shares, unbroken):
            assert np.array_equal(images, expected_images[number::3])


@pytest.mark.parametrize("share", [Share(), Share(0, 1, 2)], ids=["alone", "shared"])
@pytest.mark.parametrize(
    "function, message",
    [
        (lambda image, seed: tf.cast(image, tf.float32), r"returns float32 \(12, 10, 1\) for an image uint8 \(12"),
        (lambda image, seed: image[1:], r"returns uint8 \(11, 10, 1\) for an image uint8 \(12, 10, 1\); it must"),
        (lambda image, seed: tf.tile(image, [1, 1, 3]), r"returns uint8 \(12, 10, 3\)"),
        (lambda image, seed: None, r"returns NoneType for an image uint8 \(12, 10, 1\)"),
    ],
)
def test_a_function_that_returns_something_else_is_refused(synthetic, function, message, share):
    with pytest.raises(InputError, match=f"--augment <lambda>: {message}") as caught:
        train(synthetic(12, 10), augment=function, batch_size=16, stops=[1], share=share)
    assert "\n" not in str(caught.value)


class OfTheUserError(Exception):
    pass


@pytest.mark.parametrize("arguments", [{}, {"input": "numpy"}, {"share": Share(0, 1, 2)}], ids=str)
def test_what_a_user_s_function_raises_is_passed_on_unchanged(synthetic, arguments):
    error = OfTheUserError("as it was")

    def fails(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        raise error

    with pytest.raises(OfTheUserError) as caught, tf.Graph().as_default():
        input_fns.train_input_fn(synthetic(12, 10), augment=fails, batch_size=16, stops=[1], **arguments)
    assert caught.value is error


def test_evaluations_and_histograms_see_images_without_augmentation(run, cli, tmp_path):
    flags = [*RUN, "--augment", "elastic", "--train_steps", "20", "--evals", "1"]
    done = cli(*flags, "--model_dir", "augmented")
    assert done.returncode == 0, done.stderr
    with_it, without = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "augmented", run))
    assert with_it["untrained"] == without["untrained"] and with_it["train_loss"] != without["train_loss"]
