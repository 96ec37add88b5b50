"""Many image files, in the order given, read by several processes that stay only a little ahead of the consumer."""

import collections
import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Deque, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from estimator_mnist.predict.pictures import decode
from estimator_mnist.predict.pictures.decode import Preparation
from input_fns.sources.image_files import MAX_BYTES, SUFFIXES, ImageFileError
from input_fns.sources.image_processes import CHUNK, ENVIRONMENT, FEW

MAX_PROCESSES = 8
POLL_SECONDS = 0.1  # until a signal is noticed
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STANDARD_INPUT = "-"


class Source(NamedTuple):
    """A file before it is read."""

    file: str  # as the user named it, or below the folder that the user named
    content: Optional[bytes] = None  # of standard input, which no other process can read
    error: Optional[str] = None  # if it is known without reading


class Picture(NamedTuple):
    """A file's image, or what is wrong with the file."""

    file: str
    image: Optional[np.ndarray]  # uint8 [height, width, channels]
    error: Optional[str]  # one line


def read(words: Sequence[str], preparation: Preparation) -> Iterator[List[Picture]]:
    """Yields the images of files in chunks.

    Args:
        words: Files; folders, whose image files are read in sorted order, subfolders included; and "-" for one image on
            standard input.
        preparation: How to prepare the pictures.

    Raises:
        BrokenProcessPool: A reading process was killed, most likely for lack of memory.
    """
    sources = find(words)
    first = list(itertools.islice(sources, FEW + 1))
    if len(first) <= FEW:
        yield from (_read(chunk, preparation) for chunk in _chunks(first))
    else:
        yield from _read_in_processes(_chunks(itertools.chain(first, sources)), preparation)


def find(words: Iterable[str]) -> Iterator[Source]:
    """Yields the files that words name; see `read`."""
    for word in words:
        if word == STANDARD_INPUT:
            yield Source(word, sys.stdin.buffer.read(MAX_BYTES + 1))
        elif os.path.isdir(word):
            files = _in_folder(word)
            yield next(files, Source(word, error="holds no image files (.png, .jpg and the like)"))
            yield from files
        else:
            yield Source(word)


def _in_folder(folder: str) -> Iterator[Source]:
    try:
        with os.scandir(folder) as entries:
            # Without hidden files: macOS puts one beside each file on foreign disks.
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda one: one.name)
    except OSError as error:
        yield Source(folder, error=error.strerror or str(error))
        return
    for entry in visible:
        if entry.is_dir(follow_symlinks=False):  # links could form a cycle
            yield from _in_folder(entry.path)
        elif entry.name.lower().endswith(SUFFIXES):
            yield Source(entry.path)


def _chunks(sources: Iterable[Source]) -> Iterator[List[Source]]:
    sources = iter(sources)
    return iter(lambda: list(itertools.islice(sources, CHUNK)), [])


def _read(chunk: List[Source], preparation: Preparation) -> List[Picture]:
    return [_read_one(source, preparation) for source in chunk]


def _read_one(source: Source, preparation: Preparation) -> Picture:
    if source.error:
        return Picture(source.file, None, source.error)
    try:
        picture: Union[str, bytes] = source.file if source.content is None else source.content
        return Picture(source.file, decode.prepare(picture, preparation), None)
    except ImageFileError as error:
        return Picture(source.file, None, str(error))


def _read_in_processes(chunks: Iterator[List[Source]], preparation: Preparation) -> Iterator[List[Picture]]:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    processes = min(multiprocessing.cpu_count(), MAX_PROCESSES)
    # Spawned, not forked: the fork of a process that has threads, such as TensorFlow's, may deadlock.
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_process)
    pending: Deque[Future[List[Picture]]] = collections.deque()
    try:
        while True:
            more = list(itertools.islice(chunks, 8 * processes - len(pending)))
            with _deferred_signals() as received:
                pending.extend(executor.submit(_read, chunk, preparation) for chunk in more)
                while pending and not received and not pending[0].done():
                    concurrent.futures.wait([pending[0]], timeout=POLL_SECONDS)
            if not pending:
                return
            yield pending.popleft().result()
    finally:
        with _deferred_signals():
            # Waits: otherwise Python's own exit may trip over pipes that are already closed.
            executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _deferred_signals() -> Iterator[List[int]]:
    """A context that collects SIGINT and SIGTERM in its value, and raises the first of them when it ends.

    An exception raised within the pool's own code can leave one of its locks taken for ever. Processes that start in
    this context ignore Ctrl-C, which reaches all of them: the parent reacts to it.
    """
    received: List[int] = []
    handlers = {number: signal.signal(number, lambda number, frame: received.append(number)) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a new process inherits
    try:
        yield received
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _start_process() -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Ends this process when its parent has ended in any way. Otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
