"""The focal loss (Lin et al., arXiv 1708.02002): bash run.sh --loss examples/focal_loss.py:focal

It gives little weight to examples that are classified well already.
"""

import tensorflow as tf

GAMMA = 2.0  # the paper's choice; 0 is the cross entropy


def focal(labels, logits):
    cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    probability_of_others = -tf.math.expm1(-cross_entropy)  # 1 - p, precise for p near 1
    return probability_of_others**GAMMA * cross_entropy
