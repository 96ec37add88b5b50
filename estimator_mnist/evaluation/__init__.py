"""How a trained network performs on a split, and the uncertainty of its metrics."""
