"""The suite does not inherit the user's environment."""

import os
import signal
import subprocess
import sys

from support import ROOT

HOSTILE = {
    "COLUMNS": "60",
    "CUDA_VISIBLE_DEVICES": "-1",
    "ESTIMATOR_MNIST_PARENT_PIPE": "99",
    "ESTIMATOR_MNIST_PROGRESS_PIPE": "99",
    "FORCE_COLOR": "1",
    "LANG": "C",
    "LC_ALL": "C",
    "LINES": "5",
    "MATPLOTLIBRC": "/nowhere",
    "MPLBACKEND": "tkagg",
    "NO_COLOR": "1",
    "NVIDIA_VISIBLE_DEVICES": "none",
    "OMP_NUM_THREADS": "1",
    "PYTHONIOENCODING": "ascii",
    "PYTHONWARNINGS": "default",
    "TERM": "dumb",
    "TF_CONFIG": "{",
    "TF_CPP_MIN_LOG_LEVEL": "0",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "XLA_FLAGS": "--xla_no_such_flag=1",
}


def test_the_user_s_environment_does_not_reach_the_tests():
    """Runs `environment_check.py` as a shell's background job would, with SIGINT ignored, in a hostile environment."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/environment_check.py"],
        cwd=ROOT,
        env={**os.environ, **HOSTILE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
