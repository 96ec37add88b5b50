"""The same work by this project and by its peers, each a program of its own: `python -m benchmarks.peers.NAME TASK`.

Every one trains the network of the task on the whole of MNIST with Adam 0.001 and prints one line of JSON:
{"images_per_second": F}. A warm-up of `Task.warm_up` steps is left out.
"""
