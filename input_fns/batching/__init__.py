"""Batches as pure functions of (seed, step)."""
