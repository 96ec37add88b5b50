"""Keeps TensorFlow's log off a notebook that imports layers before anything else of this project."""

from estimator_mnist.system.tensorflow_setup import quiet_tensorflow

quiet_tensorflow()  # has no effect where the command line has decided already
