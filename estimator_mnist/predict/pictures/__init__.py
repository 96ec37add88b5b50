"""Image files to the arrays that networks take. No TensorFlow in it."""
