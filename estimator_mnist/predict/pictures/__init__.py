"""Image files to the arrays that networks take. Imports no TensorFlow."""
