"""The commands, from words to exit codes, and what a run prints."""
