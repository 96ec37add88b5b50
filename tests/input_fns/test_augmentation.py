"""Distorted images: functions of (seed, example, epoch) and of nothing else, and what the fields do to an image."""

import json
from typing import Any, Dict

import numpy as np
import pytest
import tensorflow as tf
from support import RUN, joined, train

from input_fns import AUGMENTS
from input_fns.augmentation import displacement_fields, warp
from input_fns.augmentation.warp import Augment
from input_fns.sources import idx

KINDS = [kind for kind in AUGMENTS if kind != "none"]


def by_original(sample, **arguments: Any) -> Dict[bytes, bytes]:
    """Returns {image: what is trained on in its place} of the first epoch, or of the second from `start` 63 on."""
    arguments = {"stops": [126] if arguments.get("start") else [63], "batch_size": 64, "seed": 3, **arguments}
    images, labels = joined(train(sample.train, **arguments))
    originals, same_labels = joined(train(sample.train, **{**arguments, "augment": "none"}))
    assert np.array_equal(labels, same_labels) and images.dtype == np.uint8 and images.shape == originals.shape
    found = {original.tobytes(): image.tobytes() for original, image in zip(originals, images)}
    assert len(found) > 3990
    return found


@pytest.mark.parametrize("kind", ["elastic", "mirror"])
def test_a_distorted_image_is_a_function_of_seed_example_and_epoch_alone(sample, kind):
    one_by_one = by_original(sample, augment=kind)
    for other in (
        {"steps_per_block": 25},
        {"batch_size": 500, "stops": [8]},
        {"batch_size": 1, "steps_per_block": 333, "stops": [4000]},
        {"input": "numpy"},
    ):
        assert by_original(sample, augment=kind, **other) == one_by_one, other
    second, seed = by_original(sample, augment=kind, start=63), by_original(sample, augment=kind, seed=4)
    for changed in (second, seed):
        assert sum(changed[original] != image for original, image in one_by_one.items()) > 3900


@pytest.mark.parametrize("input", ["indexed", "numpy"])
def test_a_later_start_sees_the_same_images(sample, input):
    arguments = {"batch_size": 64, "seed": 9, "stops": [100], "input": input, "augment": "elastic"}
    whole, rest = train(sample.train, **arguments), train(sample.train, start=70, **arguments)
    assert len(rest) == 30
    for (images, labels), (expected_images, expected_labels) in zip(rest, whole[70:]):
        assert np.array_equal(images, expected_images) and np.array_equal(labels, expected_labels)


def places(kind: str, numbers: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Returns y and x in pixels of the image, float64 [2, n, 784], at which images are read for some numbers."""
    found = displacement_fields.of(kind, strength)
    return (found.still[:, np.newaxis] + numbers.astype(np.float64) @ found.moves) / displacement_fields.UNITS - 1


def random_numbers(kind: str, count: int) -> np.ndarray:
    found = displacement_fields.of(kind, 1.0)
    numbers = np.random.default_rng(0).integers(0, 256, [count, found.moves.shape[1]])
    if found.mirrored:
        numbers[:, -1] = numbers[:, -1] // 128
    return numbers


def bilinear(images: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Returns float64 [n, 784]: images, uint8 [n, 28, 28], between zeros, at places, by the book."""
    wide = np.pad(images.astype(np.float64), [[0, 0], [40, 40], [40, 40]])
    y, x = y + 40, x + 40
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    one = np.arange(len(images))[:, np.newaxis]
    above = wide[one, top, left] * (1 - right) + wide[one, top, left + 1] * right
    below = wide[one, top + 1, left] * (1 - right) + wide[one, top + 1, left + 1] * right
    return above * (1 - down) + below * down


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_read_bilinearly_at_the_places_of_the_fields(sample, kind, monkeypatch):
    images, _ = idx.read_split(sample.train.images, sample.train.labels)
    images, numbers = images[:200], random_numbers(kind, 200)
    # The last number of a mirroring field is made 0 or 1 of its upper half.
    drawn = np.where(
        [
            displacement_fields.of(kind, 1.0).mirrored and column == numbers.shape[1] - 1
            for column in range(numbers.shape[1])
        ],
        numbers * 128,
        numbers,
    )
    monkeypatch.setattr(warp, "_random_bytes", lambda *_: tf.constant(drawn, tf.float32))
    found = warp.distorted(
        tf.constant(images[..., np.newaxis]), tf.range(200, dtype=tf.int64), tf.constant(0, tf.int64), Augment(0, kind)
    )
    difference = np.abs(found.numpy().reshape(200, -1) - bilinear(images, *places(kind, numbers)))
    assert difference.max() <= 5 and difference.mean() < 0.3  # places are rounded to 1/128 pixel, values to 1
    assert (found.numpy()[..., 0] != images).any(axis=(1, 2)).mean() > 0.98


def test_next_to_no_strength_leaves_images_as_they_are(sample):
    for original, image in by_original(sample, augment="elastic", augment_strength=1e-5).items():
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
            moved = places("affine", numbers)[:, 0] - 13.5
            assert np.allclose(moved, [y + sign * in_y, x + sign * in_x], atol=0.02)
    mirror = np.full([2, displacement_fields.of("mirror", 1.0).moves.shape[1]], 127.5)
    mirror[:, -1] = 0, 1
    moved = places("mirror", mirror) - 13.5
    assert np.allclose(moved[:, 0], [y, x], atol=0.02) and np.allclose(moved[:, 1], [y, -x], atol=0.02)


def test_the_rubber_sheet_has_the_deviation_and_the_smoothness_of_its_paper():
    numbers = random_numbers("elastic", 20_000)
    numbers[:, :6] = 127  # no affine part
    y, x = places("elastic", numbers).reshape(2, -1, 28, 28)
    sheet = y - y.mean(axis=0)
    assert sheet[:, 6:22, 6:22].std(axis=0) == pytest.approx(AUGMENTS["elastic"].elastic, rel=0.05)
    assert sheet.std(axis=0).min() > 0.75  # in the corners, where bumps from outside are missing
    # White noise smoothed by a Gaussian of s pixels correlates as exp(-d**2 / (4 s**2)) over d pixels.
    for distance in (2, 5, 8):
        correlation = np.corrcoef(sheet[:, 14, 10], sheet[:, 14, 10 + distance])[0, 1]
        assert correlation == pytest.approx(np.exp(-(distance**2) / (4 * displacement_fields.SIGMA**2)), abs=0.03)
    assert abs(np.corrcoef(y[:, 14, 14], x[:, 14, 14])[0, 1]) < 0.03


@pytest.mark.parametrize("kind", KINDS)
def test_sums_are_exact_in_float32_at_the_largest_strength(kind):
    found = displacement_fields.of(kind, displacement_fields.LARGEST_STRENGTH)
    assert np.array_equal(found.still, np.rint(found.still)) and np.array_equal(found.moves, np.rint(found.moves))
    largest = np.full([found.moves.shape[1], 1], 255)
    largest[-1] = 1 if found.mirrored else 255
    assert (np.abs(found.still) + (largest * np.abs(found.moves)).sum(axis=1)).max() < 2**24


def test_random_bytes_are_uniform_and_know_nothing_of_each_other():
    def drawn(seed: int, epoch: int) -> np.ndarray:
        examples = tf.range(20_000, dtype=tf.int64)
        return warp._random_bytes(examples, tf.constant(epoch, tf.int64), seed, 8).numpy()

    first = drawn(0, 0)
    counts = np.stack([np.bincount(column.astype(int), minlength=256) for column in first.T])
    chi_squared = ((counts - 20_000 / 256) ** 2 / (20_000 / 256)).sum(axis=1)
    assert counts.shape == (8, 256) and (np.abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)).all()
    others = [first[1:], drawn(1, 0)[1:], drawn(0, 1)[1:]]
    columns = np.concatenate([first[:-1], *others], axis=1)
    assert np.abs(np.corrcoef(columns.T) - np.eye(32)).max() < 0.04


def test_evaluations_and_histograms_see_images_as_they_are(run, cli, tmp_path):
    flags = [*RUN, "--augment", "elastic", "--train_steps", "20", "--evals", "1"]
    done = cli(*flags, "--model_dir", "distorted")
    assert done.returncode == 0, done.stderr
    found, plain = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "distorted", run))
    assert found["untrained"] == plain["untrained"] and found["train_loss"] != plain["train_loss"]
