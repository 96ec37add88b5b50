"""What the recipes of several architectures have in common. An architecture's own record holds the rest."""

# The plain settings of the exercise: constant Adam.
NOTEBOOK = {"optimizer": "adam", "learning_rate": 0.001, "train_epochs": 10}
# One cycle (arXiv 1708.07120): a rate too high for a constant one, reached slowly and left for zero, learns in a few
# epochs what a constant one learns in ten.
ONE_CYCLE = {"optimizer": "adam", "learning_rate_schedule": "one_cycle"}
EVALUATED_ONCE = {"evals": 1}  # at the end
ELASTIC = {"augment": "elastic", "augment_strength": 0.5}
# For clothes: they look the same in a mirror, and nobody draws them by hand.
MIRROR = {"augment": "mirror"}
# For a network that nobody has chosen settings for, such as a user's own.
GENERIC = {
    "notebook": {**NOTEBOOK, "batch_size": 128},
    "default": {**ONE_CYCLE, "batch_size": 64, "train_epochs": 5, "learning_rate": 0.003},
    "best": {**ONE_CYCLE, "augment": "affine", "batch_size": 64, "train_epochs": 30, "learning_rate": 0.003},
}
