"""train_and_evaluate with all that belongs to it: hooks, checkpoints, exports."""
