"""A user's own functions: networks, losses, metrics, optimizers and augmentations, named as FILE.py:FUNCTION.

The content of a file is known by its SHA-256. So a run is tied to the code that it began with, wherever that code is
read from: the user's file, the copy in a model_dir, or a notebook.
"""

from estimator_mnist.user_code.calls import UserCodeError, with_place
from estimator_mnist.user_code.files import FOLDER, copy_to, know_copies, register, register_file
from estimator_mnist.user_code.functions import UserFunction, function
from estimator_mnist.user_code.references import Reference, is_reference, parse

__all__ = [
    "FOLDER",
    "Reference",
    "UserCodeError",
    "UserFunction",
    "copy_to",
    "function",
    "is_reference",
    "know_copies",
    "parse",
    "register",
    "register_file",
    "with_place",
]
