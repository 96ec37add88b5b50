"""Many runs of the main command, as child processes, and a table of their results."""
