"""Batches that several processes share: together they are those of one process."""

from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf

import input_fns
from input_fns import Share

BATCH, SEED = 48, 3  # 83 batches and a third of one in an epoch of 4,000
STOPS = [50, 84, 170]


def fetch_share(split: input_fns.Split, share: Share, **arguments: Any) -> List[Dict[str, np.ndarray]]:
    """Returns the elements of a share as {"image", "label", and its other features}."""
    arguments = {"batch_size": BATCH, "seed": SEED, "stops": STOPS, "steps_per_block": 25, **arguments}
    elements = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        iterator = tf.compat.v1.data.make_initializable_iterator(
            input_fns.train_input_fn(split, share=share, **arguments)
        )
        features, labels = iterator.get_next()
        session.run(iterator.initializer)
        while True:
            try:
                elements.append(session.run({**features, "label": labels}))
            except tf.errors.OutOfRangeError:
                return elements


@pytest.mark.parametrize("augment", ["none", "affine"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_parts_of_a_batch_are_the_batch(sample, count, augment):
    blocks = fetch_share(sample.train, Share(), augment=augment)
    parts = [fetch_share(sample.train, Share(number, 1, count), augment=augment) for number in range(count)]
    assert all(len(part) == len(blocks) for part in parts)
    for block, parts_of_block in zip(blocks, zip(*parts)):
        examples = len(block["label"])
        assert all(part["examples"] == examples for part in parts_of_block)
        # Position p of a batch belongs to part p % count.
        owners = np.arange(examples) % BATCH % count
        for number, part in enumerate(parts_of_block):
            assert np.array_equal(part["image"], block["image"][owners == number])
            assert np.array_equal(part["label"], block["label"][owners == number])


def test_the_parts_of_several_replicas_alternate(sample):
    apart = [fetch_share(sample.train, Share(number, 1, 4)) for number in (2, 3)]
    together = fetch_share(sample.train, Share(2, 2, 4))
    assert len(together) == 2 * len(apart[0])
    for index, element in enumerate(together):
        assert np.array_equal(element["image"], apart[index % 2][index // 2]["image"])


@pytest.mark.parametrize("start", [0, 61])
def test_each_whole_batch_has_one_process_and_keeps_its_step(sample, start):
    all_labels = np.concatenate(
        [block["label"] for block in fetch_share(sample.train, Share(), start=start, stops=[170])]
    )
    steps_of, labels_of = [], {}
    for number in range(3):
        for element in fetch_share(sample.train, Share(number, 1, 3, whole_batches=True), start=start, stops=[170]):
            assert all(step % 3 == number for step in element["step"])
            steps_of += list(element["step"])
            at = 0
            for step in element["step"]:
                size = BATCH if (step + 1) % 84 else 4000 % BATCH
                labels_of[step] = element["label"][at : at + size]
                at += size
            assert at == len(element["label"])
    assert sorted(steps_of) == list(range(start, 170))
    assert np.array_equal(np.concatenate([labels_of[step] for step in sorted(labels_of)]), all_labels)


def test_a_run_resumed_by_another_number_of_processes_sees_the_same_batches(sample):
    resumed = fetch_share(sample.train, Share(), start=61)
    parts = [fetch_share(sample.train, Share(number, 1, 2), start=61) for number in range(2)]
    for block, parts_of_block in zip(resumed, zip(*parts)):
        both = np.concatenate([part["label"] for part in parts_of_block])
        assert sorted(both) == sorted(block["label"])
