"""The same training by this project and by its peers, each a separate program that a benchmark starts.

    python -I estimator_mnist/system/run_module.py benchmarks.peers.NAME MODEL DATA_DIR VARIANT

Each trains the network of `Task.model` on all of MNIST with Adam 0.001 and prints one line of JSON,
{"images_per_second": F}, which does not count the `Task.warm_up` steps.
"""
