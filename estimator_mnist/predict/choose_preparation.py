"""The preparation of pictures that suits a run's data set, or that the user asks for."""

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.predict.pictures.decode import Preparation
from input_fns import InputError


def chosen_preparation(preprocess: str, experiment: Experiment) -> Preparation:
    """Returns how pictures become images for the network of an experiment.

    Args:
        preprocess: One of `input_fns.PREPROCESSES`. "auto" takes what the images of the data set were found to need.
        experiment: The network's.

    Raises:
        InputError: The network takes colour, and the preparation makes grey images.
    """
    height, width, channels = experiment.image_shape
    preparation = _of_data_set(experiment) if preprocess == "auto" else preprocess
    if channels != 1 and preparation in ("mnist", "fit"):
        raise InputError(
            f"--preprocess {preprocess}: makes grey images, and this network takes {width}x{height} images in colour; "
            "it must be auto, resize or none"
        )
    return Preparation(preparation, (height, width, channels))


def _of_data_set(experiment: Experiment) -> str:
    """Returns the preparation of the data set. An older experiment.json lacks it: then the name decides."""
    if experiment.image_shape[2] != 1:
        return "resize"
    return experiment.preparation or ("mnist" if experiment.dataset.split(":")[0] == "mnist" else "fit")
