"""One run shared by several processes: the tasks of TF_CONFIG, what each does, and the command that starts them."""
