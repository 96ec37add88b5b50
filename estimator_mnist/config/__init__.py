"""The Experiment, which describes a run, and the flags that describe an Experiment."""
