"""Many runs of the main command, as processes, and a table of what came out."""
