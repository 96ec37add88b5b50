"""The command line: commands, their help, and what a run prints."""
