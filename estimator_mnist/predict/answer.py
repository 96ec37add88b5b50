"""What a network says of each image file."""

from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np

from estimator_mnist.predict.pictures import reader
from estimator_mnist.predict.pictures.decode import Preparation
from estimator_mnist.system.terminal import printable

# uint8 [n, height, width, channels] to probabilities, float32 [n, classes].
Classifier = Callable[[np.ndarray], np.ndarray]


class Answer(NamedTuple):
    """A file's image and the probability of each class, or what is wrong with the file."""

    file: str
    image: Optional[np.ndarray]  # uint8 [height, width, channels], as the network saw it
    probabilities: Optional[np.ndarray]  # float32 [classes]
    error: Optional[str]  # one line

    @property
    def printable_file(self) -> str:
        """The file's name with all characters escaped that would not print as themselves."""
        return printable(self.file)

    def ranking(self) -> List[int]:
        """Returns the classes, the most probable first; none for a file with an error."""
        return [] if self.probabilities is None else np.argsort(-self.probabilities, kind="stable").tolist()


def classify_files(
    words: Sequence[str], preparation: Preparation, load: Callable[[], Classifier]
) -> Iterator[List[Answer]]:
    """Yields the answers in chunks, in the order of the files; see `reader.read`.

    Args:
        words: Files, folders, "-".
        preparation: How to prepare the pictures.
        load: Loads the classifier. Called once the first image is ready to be classified.
    """
    classifier: Optional[Classifier] = None
    for chunk in reader.read(words, preparation):
        images = [picture.image for picture in chunk if picture.image is not None]
        probabilities: Iterator[np.ndarray] = iter(())
        if images:
            classifier = classifier or load()
            probabilities = iter(classifier(np.stack(images)))
        yield [
            Answer(file, image, None if image is None else next(probabilities), error) for file, image, error in chunk
        ]
