"""The benchmarks, each of them a command: bash run.sh benchmark NAME."""
