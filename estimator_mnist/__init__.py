"""Experiments with tf.estimator on MNIST-like images, from flags to results."""
