"""A bare forward pass over the test split: this project's network in one session, without Estimator and tf.data.

    python -I estimator_mnist/system/run_module.py benchmarks.peers.forward MODEL DATA_DIR PASSES

Prints one line of JSON: {"seconds": [a value for each pass after the first]}.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.network import scaled
from estimator_mnist.model import cpu_parallelism
from estimator_mnist.training import run_config

name, folder, passes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
images = np.load(folder / "test-images.npy")
experiment = Experiment(model=name)
cpu_parallelism.limit_threads(experiment)

with tf.Graph().as_default(), tf.compat.v1.Session(config=run_config.session_config(experiment)) as session:
    batch = tf.compat.v1.placeholder(tf.uint8, [None, *images.shape[1:]])
    network = create_network(experiment)
    network.build(experiment.seed)
    parts = cpu_parallelism.split_for_inference(experiment, batch)
    classes = tf.argmax(tf.concat([network(scaled(part)) for part in parts], axis=0), axis=1)
    session.run(tf.compat.v1.global_variables_initializer())
    seconds = []
    for _ in range(1 + passes):
        began = time.perf_counter()
        for first in range(0, len(images), experiment.eval_batch_size):
            session.run(classes, {batch: images[first : first + experiment.eval_batch_size]})
        seconds.append(time.perf_counter() - began)
print(json.dumps({"seconds": seconds[1:]}), flush=True)
