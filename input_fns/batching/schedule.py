"""Which rows of an epoch each batch holds, as pure functions of the step: nothing has to be saved to go on."""

from typing import List, NamedTuple, Tuple


class Blocks(NamedTuple):
    """The blocks of a run: runs of successive batches that reach the graph as one element.

    A block ends where an epoch ends, where the caller wants to stop, and at multiples of `steps_per_block` counted from
    the start of the epoch. So the blocks after a step do not depend on where the process was started.
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

    def pieces(self, size: int) -> List[Tuple[int, int, int]]:
        """Returns `rows`, each cut into pieces of at most `size` rows."""
        return [
            (epoch, start, min(start + size, last))
            for epoch, first, last in self.rows()
            for start in range(first, last, size)
        ]

    @property
    def sizes(self) -> List[int]:
        """Examples in each block."""
        return [last - first for _, first, last in self.rows()]

    def rows(self) -> List[Tuple[int, int, int]]:
        """Returns (epoch, first row, row after the last) of each block; rows count positions in the shuffled epoch."""
        boundaries, spans = self.boundaries(), []
        for first, last in zip(boundaries, boundaries[1:]):
            epoch, step = divmod(first, self.steps_per_epoch)
            end = min((step + last - first) * self.batch_size, self.examples)
            spans.append((epoch, step * self.batch_size, end))
        return spans
