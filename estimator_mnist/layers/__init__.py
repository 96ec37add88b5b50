"""What networks are made of: layers, their variables, and the network that composes them."""
