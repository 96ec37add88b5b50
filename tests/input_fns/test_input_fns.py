"""Every input on every source: what a batch holds, and in which order examples come."""

import dataclasses
import gzip
import subprocess
import sys
from pathlib import Path
from typing import List

import numpy as np
import pytest
import tensorflow as tf
from support import ROOT, fetch, joined, train

import input_fns
from input_fns import Request
from input_fns.batching.schedule import Blocks
from input_fns.sources import idx

INPUTS = ["indexed", "stream", "numpy"]


def zipped(data: input_fns.Data, folder: Path) -> Path:
    """Writes the four files of a data set, gzipped, and returns their folder."""
    for (split, kind), name in idx.FILE_NAMES.items():
        images, labels = getattr(data, split).arrays()
        content = idx.to_bytes(images[..., 0] if kind == "images" else labels)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def in_bytes(images: np.ndarray) -> List[bytes]:
    return sorted(image.tobytes() for image in images)


@pytest.mark.parametrize("input", INPUTS)
def test_an_epoch_holds_every_example_once(sample, input):
    batches = train(sample.train, batch_size=64, seed=1, stops=[63, 126], input=input)
    images, _ = sample.train.arrays()
    expected = sorted(image.tobytes() for image in images)
    assert len(batches) == 2 * 63
    for epoch in (batches[:63], batches[63:]):
        assert [len(labels) for _, labels in epoch] == [64] * 62 + [32]
        assert in_bytes(joined(epoch)[0]) == expected


@pytest.mark.parametrize("input", INPUTS)
def test_batches_are_images_with_their_labels(sample, input):
    images, labels = joined(train(sample.train, batch_size=100, stops=[40], input=input))
    assert images.dtype == np.uint8 and labels.dtype == np.int32
    assert images.shape == (4000, 28, 28, 1) and labels.shape == (4000,)
    assert images.min() == 0 and images.max() == 255
    stored_images, stored_labels = sample.train.arrays()
    label_of = {image.tobytes(): label for image, label in zip(stored_images, stored_labels)}
    assert [label_of[image.tobytes()] for image in images] == labels.tolist()


@pytest.mark.parametrize("shape", [(20, 24, 1), (9, 40, 1), (32, 32, 3), (1, 5, 3)])
@pytest.mark.parametrize("input", INPUTS)
def test_batches_have_the_image_shape_of_the_split(synthetic, input, shape):
    split = synthetic(*shape)
    stored, _ = split.arrays()
    batches = train(split, batch_size=32, seed=1, stops=[4], input=input)
    assert [images.shape for images, _ in batches] == 3 * [(32, *shape)] + [(4, *shape)]
    again = train(split, batch_size=32, seed=1, stops=[4], input=input)
    assert np.array_equal(joined(batches)[0], joined(again)[0])
    assert in_bytes(joined(batches)[0]) == in_bytes(stored)
    evaluated, labels = joined(fetch(lambda: input_fns.eval_input_fn(split, 32)))
    assert np.array_equal(evaluated, stored) and labels.tolist() == 10 * list(range(10))
    first, _ = joined(fetch(lambda: input_fns.predict_input_fn(split, 4, 7)))
    assert np.array_equal(first, stored[:7])


@pytest.mark.parametrize("input", INPUTS)
def test_labels_above_255_stay_what_they_are(synthetic, input):
    split = synthetic(4, 5, 3, examples=600, classes=300)
    stored = {image.tobytes(): label for image, label in zip(*split.arrays())}
    assert max(stored.values()) == 299
    images, labels = joined(train(split, batch_size=64, seed=1, stops=[10], input=input))
    assert [stored[image.tobytes()] for image in images] == labels.tolist() and labels.dtype == np.int32
    _, evaluated = joined(fetch(lambda: input_fns.eval_input_fn(split, 64)))
    assert evaluated.tolist() == 2 * list(range(300))
    part = dataclasses.replace(split, examples=50, first=260)
    assert joined(fetch(lambda: input_fns.eval_input_fn(part, 16)))[1].tolist() == [*range(260, 300), *range(10)]


@pytest.mark.parametrize("input", INPUTS)
def test_the_seed_sets_an_order_that_is_new_every_epoch(sample, input):
    def labels(seed):
        return joined(train(sample.train, batch_size=50, seed=seed, stops=[160], input=input))[1]

    first, again, other = labels(3), labels(3), labels(4)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:4000], first[4000:])


@pytest.mark.parametrize("input", ["indexed", "numpy"])
def test_a_resumed_run_sees_the_same_batches(sample, input):
    from_start = train(sample.train, batch_size=64, seed=9, stops=[130], input=input)
    resumed = train(sample.train, batch_size=64, seed=9, stops=[130], start=70, input=input)
    assert len(resumed) == 60
    for (images, labels), (expected_images, expected_labels) in zip(resumed, from_start[70:]):
        assert np.array_equal(images, expected_images) and np.array_equal(labels, expected_labels)


def test_a_resumed_stream_has_a_new_order(sample):
    resumed = train(sample.train, batch_size=64, seed=9, stops=[126], start=70, input="stream")
    assert [len(labels) for _, labels in resumed] == [64] * 55 + [32]  # what is left of the second epoch
    from_start = train(sample.train, batch_size=64, seed=9, stops=[126], input="stream")
    assert not np.array_equal(resumed[0][1], from_start[0][1])


@pytest.mark.parametrize("input", INPUTS)
def test_blocks_are_successive_batches(sample, input):
    arguments = {"batch_size": 64, "seed": 2, "stops": [20, 63, 100], "input": input}
    batches = joined(train(sample.train, **arguments))
    blocks = train(sample.train, steps_per_block=25, **arguments)
    assert [len(labels) for _, labels in blocks] == [1280, 320, 1600, 12 * 64 + 32, 1600, 12 * 64]
    assert np.array_equal(joined(blocks)[1], batches[1])
    assert np.array_equal(joined(blocks)[0], batches[0])


@pytest.mark.parametrize("start", [0, 1, 24, 25, 62, 63, 99])
def test_blocks_are_independent_of_the_step_a_run_resumed_from(start):
    from_start = Blocks(4000, 64, 25, (20, 63, 100), 0).boundaries()
    resumed = Blocks(4000, 64, 25, (20, 63, 100), start).boundaries()
    assert resumed == [start] + [step for step in from_start if step > start]


@pytest.mark.parametrize("input", INPUTS)
def test_evaluation_covers_the_test_split_in_its_order(mnist, input):
    data = input_fns.find(Request("mnist", "tfds", stream=input == "stream"))
    batches = fetch(lambda: input_fns.eval_input_fn(data.test, 384))
    images, labels = joined(batches)
    assert [len(labels) for _, labels in batches] == [384] * 26 + [16]
    stored_images, stored_labels = mnist.test.arrays()
    assert np.array_equal(labels, stored_labels)
    assert np.array_equal(images, stored_images)


@pytest.mark.parametrize("input", INPUTS)
@pytest.mark.parametrize("source", ["sample", "tfds", "gzipped"])
def test_the_last_training_examples_validate_and_do_not_train(sample, mnist, tmp_path, input, source):
    full, size = (mnist, 10_000) if source == "tfds" else (sample, 1000)
    where = {"source": "sample" if source == "sample" else "tfds"}
    if source == "gzipped":
        where = {"source": "idx", "idx_dir": str(zipped(sample, tmp_path))}
    data = input_fns.find(Request("mnist", **where, stream=input == "stream", validation_size=size))
    examples = full.train.examples - size
    images, labels = full.train.arrays()

    steps = -(-examples // 500)
    trained_images, trained_labels = joined(train(data.train, batch_size=500, stops=[steps], input=input))
    assert data.train.examples == examples == len(trained_labels)
    assert in_bytes(trained_images) == sorted(image.tobytes() for image in images[:examples])
    assert sorted(trained_labels) == sorted(labels[:examples])

    held_out_images, held_out_labels = joined(fetch(lambda: input_fns.eval_input_fn(data.test, 384)))
    assert np.array_equal(held_out_images, images[examples:])
    assert np.array_equal(held_out_labels, labels[examples:])
    (first_images, _), *_ = fetch(lambda: input_fns.predict_input_fn(data.test, 500, 6))
    assert np.array_equal(first_images, images[examples : examples + 6])


def test_predictions_take_the_first_examples(sample):
    (images, labels), *rest = fetch(lambda: input_fns.predict_input_fn(sample.test, 500, 6))
    assert not rest and labels.tolist() == [0, 1, 2, 3, 4, 5] and images.shape == (6, 28, 28, 1)


@pytest.mark.parametrize("input", INPUTS)
def test_the_first_images_come_with_every_block(sample, input):
    first = sample.train.arrays()[0][:7]
    # Both eagerly: a global seed, which another test may have set, counts in the stream's order.
    with_first_images, plain = (
        list(
            input_fns.train_input_fn(
                sample.train, 64, stops=[20], steps_per_block=9, input=input, first_examples=first_examples
            ).as_numpy_iterator()
        )
        for first_examples in (7, 0)
    )
    assert len(with_first_images) == len(plain) == 3
    for (features, labels), (_, expected) in zip(with_first_images, plain):
        assert np.array_equal(features["first_image"], first) and np.array_equal(labels, expected)


@pytest.mark.parametrize("input", INPUTS)
def test_an_epoch_of_mnist_has_its_counts_of_classes(mnist, input):
    data = input_fns.find(Request("mnist", "tfds", stream=input == "stream"))
    blocks = train(data.train, batch_size=64, stops=[938], steps_per_block=50, input=input)
    labels = np.concatenate([labels for _, labels in blocks])
    # http://yann.lecun.com/exdb/mnist: the counts of the classes of the training set
    expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(labels).tolist() == expected


@pytest.mark.parametrize("input", INPUTS)
def test_the_graph_holds_no_data(mnist, input):
    data = input_fns.find(Request("mnist", "tfds", stream=input == "stream"))
    with tf.Graph().as_default() as graph:
        dataset = input_fns.train_input_fn(data.train, batch_size=64, stops=range(938, 9381, 938), input=input)
        tf.compat.v1.data.make_one_shot_iterator(dataset) if input != "numpy" else None
        assert len(str(graph.as_graph_def())) < 1_000_000


def test_importing_the_package_imports_no_tensorflow():
    code = "import sys, input_fns; assert 'tensorflow' not in sys.modules; print(input_fns.Share())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "Share(" in done.stdout, done.stderr


def test_gzipped_idx_files_give_the_same_batches(sample, tmp_path: Path):
    data = input_fns.find(Request("mnist", "idx", idx_dir=str(zipped(sample, tmp_path))))
    for input in INPUTS:
        plain = joined(train(sample.train, batch_size=64, stops=[63], input=input))
        unzipped = joined(train(data.train, batch_size=64, stops=[63], input=input))
        assert np.array_equal(plain[0], unzipped[0]) and np.array_equal(plain[1], unzipped[1]), input
    assert tmp_path in data.train.images.parents and data.preparation == "mnist"


def test_a_split_is_mapped_and_not_copied(synthetic):
    """Only the mapped file may grow in memory, which its pages can leave again: no array of the process."""
    split = synthetic(256, 256, 3, examples=500)  # 98 MB

    def anonymous() -> int:
        with open("/proc/self/status") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("RssAnon"))

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        batches = [
            tf.compat.v1.data.make_one_shot_iterator(dataset).get_next()
            for dataset in (
                input_fns.train_input_fn(split, 4, stops=[100]),
                input_fns.train_input_fn(split, 4, stops=[100], share=input_fns.Share(1, 1, 2)),
                input_fns.eval_input_fn(dataclasses.replace(split, first=7, examples=400), 4),
            )
        ]
        before = anonymous()
        for _ in range(20):
            session.run(batches)
        assert anonymous() - before < 50e6


@pytest.mark.parametrize(
    "given, message",
    [
        ({"batch_size": 0, "stops": [5]}, "batch_size: 0 is not possible; it must be a whole number from 1 on"),
        ({"batch_size": 50, "stops": [5], "steps_per_block": 0}, "steps_per_block: 0 is not possible"),
        ({"batch_size": 50, "stops": []}, r"stops: \[\] is not possible; it must be increasing steps"),
        ({"batch_size": 50, "stops": [9, 5]}, r"stops: \[9, 5\] is not possible; it must be increasing steps"),
    ],
)
def test_impossible_batches_are_refused_in_one_line(sample, given, message):
    with pytest.raises(input_fns.InputError, match=f"^{message}"):
        input_fns.train_input_fn(sample.train, **given)


def test_an_impossible_batch_of_an_evaluation_is_refused_in_one_line(sample):
    with pytest.raises(input_fns.InputError, match=r"^batch_size: -1 is not possible"):
        input_fns.eval_input_fn(sample.test, -1)
