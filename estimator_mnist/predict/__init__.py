"""Classifies image files by a trained network."""
