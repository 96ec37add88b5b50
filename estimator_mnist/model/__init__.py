"""The model_fn and what it consists of: losses, gradients, updates, serving."""
