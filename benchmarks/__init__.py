"""Measurements of the whole, each a command of its own."""
