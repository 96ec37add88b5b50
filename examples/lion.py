"""Lion (Chen et al., arXiv 2302.06675): bash run.sh --optimizer examples/lion.py:Lion --learning_rate 0.0003

All weights move by the learning rate, in the direction of a sign. The paper takes a third to a tenth of Adam's rate.
"""

import tensorflow as tf

BETA1, BETA2, WEIGHT_DECAY = 0.9, 0.99, 0.0


class Lion:
    slots = ("momentum",)

    def update(self, weight, gradient, slots, learning_rate, step):
        momentum = slots["momentum"]
        direction = tf.sign(BETA1 * momentum + (1.0 - BETA1) * gradient)
        new_momentum = BETA2 * momentum + (1.0 - BETA2) * gradient
        return weight - learning_rate * (direction + WEIGHT_DECAY * weight), {"momentum": new_momentum}
