"""The Python API: what `import estimator_mnist as em` offers. It defines no flags and never ends the process."""
