"""A residual network (He et al., arXiv 1512.03385): bash run.sh --model examples/resnet.py:resnet"""

from estimator_mnist.layers import BatchNorm, Conv2D, Dense, Dropout, GlobalAveragePool, Residual, relu


def block(name, filters):
    branch = [
        Conv2D("conv1", filters, 3, strides=2, padding="SAME", bias=False),
        BatchNorm("norm1", relu),
        Conv2D("conv2", filters, 3, padding="SAME", bias=False),
        BatchNorm("norm2"),
    ]
    return Residual(name, branch, shortcut=[Conv2D("project", filters, 1, strides=2)], activation=relu)


def resnet(experiment):
    stem = [Conv2D("stem", 16, 5, strides=2, padding="SAME", bias=False), BatchNorm("stem_norm", relu)]
    blocks = [block("block1", 32), block("block2", 64)]
    head = [GlobalAveragePool("pool"), Dropout("dropout", experiment.dropout_rate), Dense("logits", experiment.classes)]
    return stem + blocks + head
