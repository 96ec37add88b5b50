"""The files that a run leaves in its model_dir: writing, reading and checking them."""
