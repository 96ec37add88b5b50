"""What a trained network makes of a split, and how sure the figures are."""
