"""Which rows of an epoch each batch holds, as pure functions of the step: resuming needs no saved state."""

from typing import List, NamedTuple, Optional, Tuple

from input_fns.augmentation.displacement_fields import Augmentation
from input_fns.sources.find import Split


class Rows(NamedTuple):
    """Successive rows of an epoch. A row is a position in the shuffled epoch."""

    epoch: int
    first: int
    end: int  # exclusive


class Blocks(NamedTuple):
    """The blocks of a run: runs of successive batches that reach the graph as one element.

    A block ends where an epoch ends, where the caller wants to stop, and at multiples of `steps_per_block` counted from
    the start of the epoch. So the blocks after a step are independent of the step that the process resumed from.
    """

    examples: int  # in the split
    batch_size: int
    steps_per_block: int
    stops: Tuple[int, ...]  # steps, increasing; the last is the end of the run
    start: int  # step of the first batch

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch_size)

    def boundaries(self) -> List[int]:
        """Returns the step before each block, and after the last one."""
        boundaries, stops = [self.start], sorted(stop for stop in self.stops if stop > self.start)
        for stop in stops:
            while boundaries[-1] < stop:
                epoch, step = divmod(boundaries[-1], self.steps_per_epoch)
                end = (step // self.steps_per_block + 1) * self.steps_per_block
                boundaries.append(min(epoch * self.steps_per_epoch + min(end, self.steps_per_epoch), stop))
        return boundaries

    def rows(self) -> List[Rows]:
        """Returns the rows of each block."""
        boundaries, blocks = self.boundaries(), []
        for first, last in zip(boundaries, boundaries[1:]):
            epoch, step = divmod(first, self.steps_per_epoch)
            end = min((step + last - first) * self.batch_size, self.examples)
            blocks.append(Rows(epoch, step * self.batch_size, end))
        return blocks

    def pieces(self, size: int) -> List[Rows]:
        """Returns the rows of each block, cut into pieces of at most `size` rows."""
        return [
            Rows(epoch, start, min(start + size, end))
            for epoch, first, end in self.rows()
            for start in range(first, end, size)
        ]

    @property
    def sizes(self) -> List[int]:
        """Examples in each block."""
        return [end - first for _, first, end in self.rows()]


class Share(NamedTuple):
    """Which part of the training examples a process takes: `parts` of `of` equal parts, from number `first` on.

    Part p holds positions p, p + of, p + 2 of ... of each batch, so that all parts together are the batches of one
    process alone. With `whole_batches` it holds batches p, p + of, ... of the run: for processes that do not wait for
    each other.
    """

    first: int = 0
    parts: int = 1  # one for each replica of the process
    of: int = 1
    whole_batches: bool = False


ALL = Share()


class TrainingBatches(NamedTuple):
    """The batches that a run trains on, whichever module makes them."""

    split: Split
    blocks: Blocks
    seed: int
    augmentation: Optional[Augmentation] = None
    share: Share = ALL
