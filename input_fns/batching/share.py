"""Which part of each training batch, or which of the batches, a process takes."""

from typing import NamedTuple


class Share(NamedTuple):
    """`parts` of `of` equal parts of a run's examples, from number `first` on.

    Part p holds positions p, p + of, p + 2 of ... of each batch, so that all parts together are the batches of one
    process alone. With `whole_batches` it holds batches p, p + of, ... of the run: for processes that do not wait for
    each other.
    """

    first: int = 0
    parts: int = 1  # one for each replica of the process
    of: int = 1
    whole_batches: bool = False


ALL = Share()
