"""What a run is: the Experiment, the recipes, and the flags that describe one."""
