"""An Experiment from what a caller sets: settings, recipe, data and user code. It knows no command line."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from estimator_mnist import architectures, user_code
from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.config import fields, run_data
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import FIELDS, USER_FUNCTIONS
from input_fns import Data, InputError


class Code(NamedTuple):
    """Where the files of FILE.py:FUNCTION are found if there is no file of that path."""

    registered: Mapping[str, str] = {}  # SHA-256 of contents that are registered already, by file name; come first
    copies: Optional[Path] = None  # a model_dir's folder of copies


def experiment(data: Data, settings: Mapping[str, Any], code: Code = Code()) -> Experiment:  # noqa: B008  immutable
    """Returns the experiment with these settings; the recipe and the defaults decide the others.

    Args:
        data: The data that the settings name.
        settings: Fields of Experiment. A user's functions are "path/FILE.py:FUNCTION".
        code: Where their files are.

    Raises:
        InputError: A setting is unknown or impossible, two contradict each other, or a user's file cannot be read.
    """
    unknown = [name for name in settings if name not in FIELDS]
    if unknown:
        raise InputError(f"--{unknown[0]}: there is no such setting; see Experiment for all of them")
    if settings.get("train_steps") is not None and settings.get("train_epochs") is not None:
        raise InputError("--train_steps: given beside --train_epochs; give one of the two")
    given, digests = _with_user_code(settings, code)
    model, recipe = (str(given.get(name, FIELDS[name].default)) for name in ("model", "recipe"))
    for name, value in (("model", model), ("recipe", recipe)):
        fields.check(name, value)
    chosen = _recipe(model, recipe, data.dataset)
    of_data = {"dataset": data.dataset, "source": data.source, **run_data.fields_of(data)}
    return Experiment(**{**chosen, **given, **of_data, "user_code": digests})


def _recipe(model: str, recipe: str, dataset: str) -> Dict[str, Any]:
    architecture = architectures.named(model)
    if recipe not in architecture.recipes:
        models = [name for name, record in ARCHITECTURES.items() if recipe in record.recipes]
        raise InputError(f"--recipe {recipe}: is one for --model {', '.join(models)}, not {model}")
    return architecture.recipe(recipe, dataset)


def default_model_dir(dataset: str, model: str) -> str:
    """Returns where a run lives unless its user says: runs/<dataset>-<model>.

    Args:
        dataset: The data set's name.
        model: A built-in name or FILE.py:FUNCTION.
    """
    network = user_code.parse(model).slug if user_code.is_reference(model) else model
    return str(Path("runs") / f"{dataset.replace('/', '_').replace(':', '_')}-{network}")


def with_settings(stored: Experiment, settings: Mapping[str, Any], copies: Path) -> Experiment:
    """Returns a stored experiment with other settings, whether they may change or not.

    Args:
        stored: The experiment of a run.
        settings: Fields of Experiment. Files of user code that are gone are taken from the copies.
        copies: The run's folder of copies.
    """
    given, digests = _with_user_code(settings, Code(copies=copies))
    kept = {name: digest for name, digest in stored.user_code.items() if name not in digests}
    named = {user_code.parse(text).file for text in _references({**dataclasses.asdict(stored), **given}).values()}
    code = {name: digest for name, digest in {**kept, **digests}.items() if name in named}
    return dataclasses.replace(stored, **given, user_code=code)


def _with_user_code(settings: Mapping[str, Any], code: Code) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """Returns settings as an Experiment holds them, and the SHA-256 of each user file that they name.

    User functions have names without folders, and the paths of a user's images are absolute.

    Raises:
        InputError: A file cannot be read, or two of one name differ.
    """
    names: Dict[str, Any] = {**settings, **_absolute(settings)}
    digests: Dict[str, str] = {}
    for field, text in _references(settings).items():
        reference = user_code.parse(text)
        digest = _digest(reference, f"--{field}", code)
        if digests.setdefault(reference.file, digest) != digest:
            raise InputError(f"--{field} {text}: another file of the same name is used, too; rename one of them")
        names[field] = reference.name
    return names, digests


def _absolute(settings: Mapping[str, Any]) -> Dict[str, str]:
    """Returns the paths of a user's images as absolute ones, for a later command from another folder."""
    paths = {name: settings[name] for name in ("image_dir", "arrays") if settings.get(name)}
    return {name: os.path.abspath(os.path.expanduser(path)) for name, path in paths.items()}


def _references(settings: Mapping[str, Any]) -> Dict[str, str]:
    """Returns those settings that name a user's function."""
    texts = {field: settings[field] for field in USER_FUNCTIONS if isinstance(settings.get(field), str)}
    return {field: text for field, text in texts.items() if user_code.is_reference(text)}


def _digest(reference: user_code.Reference, flag: str, code: Code) -> str:
    if reference.path in code.registered:
        return code.registered[reference.path]
    path = Path(reference.path).expanduser()
    copy = code.copies / reference.file if code.copies else None
    if not path.exists() and copy is not None and copy.is_file():
        path = copy
    return user_code.register_file(path, flag)
