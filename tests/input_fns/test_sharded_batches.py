"""Batches that several share: together they are those of one process."""

from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf

import input_fns
from input_fns import Share

BATCH, SEED = 48, 3  # 83 batches and a third of one in an epoch of 4,000
STOPS = [50, 84, 170]


def elements(split: input_fns.Split, share: Share, **arguments: Any) -> List[Dict[str, np.ndarray]]:
    """Returns the elements of a share as {"image", "label", and its other features}."""
    arguments = {"batch_size": BATCH, "seed": SEED, "stops": STOPS, "steps_per_block": 25, **arguments}
    found = []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        iterator = tf.compat.v1.data.make_initializable_iterator(
            input_fns.train_input_fn(split, share=share, **arguments)
        )
        features, labels = iterator.get_next()
        session.run(iterator.initializer)
        while True:
            try:
                found.append(session.run({**features, "label": labels}))
            except tf.errors.OutOfRangeError:
                return found


@pytest.mark.parametrize("augment", ["none", "affine"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_parts_of_a_batch_are_the_batch(sample, count, augment):
    whole = elements(sample.train, Share(), augment=augment)
    parts = [elements(sample.train, Share(number, 1, count), augment=augment) for number in range(count)]
    assert all(len(part) == len(whole) for part in parts)
    for block, of_block in zip(whole, zip(*parts)):
        examples = len(block["label"])
        assert all(part["examples"] == examples for part in of_block)
        # Position p of a batch is with part p % count.
        owners = np.arange(examples) % BATCH % count
        for number, part in enumerate(of_block):
            assert np.array_equal(part["image"], block["image"][owners == number])
            assert np.array_equal(part["label"], block["label"][owners == number])


def test_a_process_with_several_replicas_gets_their_parts_in_turn(sample):
    apart = [elements(sample.train, Share(number, 1, 4)) for number in (2, 3)]
    together = elements(sample.train, Share(2, 2, 4))
    assert len(together) == 2 * len(apart[0])
    for index, element in enumerate(together):
        assert np.array_equal(element["image"], apart[index % 2][index // 2]["image"])


@pytest.mark.parametrize("start", [0, 61])
def test_whole_batches_come_each_to_one_process_and_in_the_order_of_the_steps(sample, start):
    whole = np.concatenate([block["label"] for block in elements(sample.train, Share(), start=start, stops=[170])])
    steps_of, labels_of = [], {}
    for number in range(3):
        for element in elements(sample.train, Share(number, 1, 3, whole_batches=True), start=start, stops=[170]):
            assert all(step % 3 == number for step in element["step"])
            steps_of += list(element["step"])
            at = 0
            for step in element["step"]:
                size = BATCH if (step + 1) % 84 else 4000 % BATCH
                labels_of[step] = element["label"][at : at + size]
                at += size
            assert at == len(element["label"])
    assert sorted(steps_of) == list(range(start, 170))
    assert np.array_equal(np.concatenate([labels_of[step] for step in sorted(labels_of)]), whole)


def test_a_run_that_goes_on_with_another_number_of_processes_sees_the_same_batches(sample):
    later = elements(sample.train, Share(), start=61)
    parts = [elements(sample.train, Share(number, 1, 2), start=61) for number in range(2)]
    for block, of_block in zip(later, zip(*parts)):
        both = np.concatenate([part["label"] for part in of_block])
        assert sorted(both) == sorted(block["label"])
