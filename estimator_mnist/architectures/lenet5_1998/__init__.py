"""LeNet-5 as it was published: layers, losses and step sizes of LeCun, Bottou, Bengio and Haffner, "Gradient-Based
Learning Applied to Document Recognition", Proceedings of the IEEE 86 (11), 1998. Two hooks of `Architecture` lead here.
"""
