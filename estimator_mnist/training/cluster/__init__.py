"""One run shared by the processes of a cluster."""
