"""LeNet-5 as it was published in 1998, with the training method of the paper."""
