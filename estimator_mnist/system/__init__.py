"""What the operating system and the Python interpreter are asked for; knows nothing of networks, data or runs."""
