"""The operating system and the Python interpreter. Nothing here knows networks, data or runs."""
