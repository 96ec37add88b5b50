"""Runs a module of this project in an isolated interpreter, as `python -m MODULE WORDS` would run it in a trusted one.

    python -I estimator_mnist/system/run_module.py MODULE WORDS

`python -m` puts the current folder first on the import path, so a `json.py` in a folder of downloaded images would run.
`-I` leaves the current folder and the PYTHON* variables out; this file then adds the project and nothing else.
"""

import os
import runpy
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    sys.argv.pop(0)  # now as after `python -m`: the module comes first
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
