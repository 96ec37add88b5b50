"""Image files to answers, by a trained network."""
