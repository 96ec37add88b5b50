"""How a training is spread over devices and processes, by TensorFlow's strategies and TF_CONFIG."""
