"""Random brightness and contrast (Howard, arXiv 1312.5402): bash run.sh --augment examples/jitter.py:jitter"""

import tensorflow as tf


def jitter(image, seed):
    first, second = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    image = tf.image.stateless_random_brightness(image, 0.2, first)
    return tf.image.stateless_random_contrast(image, 0.7, 1.4, second)
