"""Many image files, in the order given, read by several processes and never far ahead of what is asked for."""

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

CHUNK = 64  # files that a process reads, and a network sees, at a time
FEW = 4 * CHUNK  # are read here: other processes take as long to start as these take to read
MAX_PROCESSES = 8
POLL_SECONDS = 0.1  # after which a signal is noticed
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STANDARD_INPUT = "-"
# Of the processes that read. NumPy's threads in each of them would wait for each other's, and glibc would give the
# memory of each picture back to the system and ask for it again, which takes a third of the time.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


class Found(NamedTuple):
    """A file before it is read."""

    file: str  # as the user named it, or with its folder's name before it
    content: Optional[bytes] = None  # of standard input, which no other process can read
    error: Optional[str] = None  # what is known to be wrong without reading


class Picture(NamedTuple):
    """A file's image, or what is wrong with the file."""

    file: str
    image: Optional[np.ndarray]  # uint8 [28, 28]
    error: Optional[str]  # one line


def read(words: Sequence[str], preprocess: str) -> Iterator[List[Picture]]:
    """Yields the images of files in chunks.

    Args:
        words: Files, folders (with the folders in them, sorted, and of each the files with the suffix of an image), and
            "-" for one image on standard input.
        preprocess: See `pictures.prepare`.

    Raises:
        BrokenProcessPool: A process that reads was killed, most likely for want of memory.
    """
    found = find(words)
    first = list(itertools.islice(found, FEW + 1))
    if len(first) <= FEW:
        yield from (_read(chunk, preprocess) for chunk in _chunks(first))
    else:
        yield from _read_in_processes(_chunks(itertools.chain(first, found)), preprocess)


def _read_in_processes(chunks: Iterator[List[Found]], preprocess: str) -> Iterator[List[Picture]]:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    processes = min(multiprocessing.cpu_count(), MAX_PROCESSES)
    # Started anew and not forked: the fork of a process that has threads, as TensorFlow's, may hang.
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_process)
    ahead: Deque[Future[List[Picture]]] = collections.deque()
    try:
        while True:
            more = list(itertools.islice(chunks, 8 * processes - len(ahead)))
            with _signals_held_back() as came:
                ahead.extend(executor.submit(_read, chunk, preprocess) for chunk in more)
                while ahead and not came and not ahead[0].done():
                    concurrent.futures.wait([ahead[0]], timeout=POLL_SECONDS)
            if not ahead:
                return
            yield ahead.popleft().result()
    finally:
        with _signals_held_back():
            # Waiting, for without it Python's own end may stumble over pipes that are closed already.
            executor.shutdown(wait=True, cancel_futures=True)


def _chunks(found: Iterable[Found]) -> Iterator[List[Found]]:
    found = iter(found)
    return iter(lambda: list(itertools.islice(found, CHUNK)), [])


def _read(chunk: List[Found], preprocess: str) -> List[Picture]:
    return [_read_one(found, preprocess) for found in chunk]


def _read_one(found: Found, preprocess: str) -> Picture:
    if found.error:
        return Picture(found.file, None, found.error)
    try:
        source: Union[str, bytes] = found.file if found.content is None else found.content
        return Picture(found.file, decode.prepare(source, preprocess), None)
    except decode.PictureError as error:
        return Picture(found.file, None, str(error))


@contextlib.contextmanager
def _signals_held_back() -> Iterator[List[int]]:
    """A context in which SIGINT and SIGTERM do nothing but come into its value; at its end the first does what it does.

    An exception raised amid the pool's own work can leave one of its locks taken for ever. And processes that start in
    this context are never interrupted: Ctrl-C reaches all of them, and the parent answers it.
    """
    came: List[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNALS}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which a new process inherits
    try:
        yield came
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _start_process() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent has ended in any way: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def find(words: Iterable[str]) -> Iterator[Found]:
    """Yields the files that words name; see `read`."""
    for word in words:
        if word == STANDARD_INPUT:
            yield Found(word, sys.stdin.buffer.read(decode.MAX_BYTES + 1))
        elif os.path.isdir(word):
            files = _in_folder(word)
            first = next(files, Found(word, error="holds no files named as images are (.png, .jpg and the like)"))
            yield first
            yield from files
        else:
            yield Found(word)


def _in_folder(folder: str) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            # Hidden files are left out: macOS puts one beside each file on foreign disks.
            shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        yield Found(folder, error=error.strerror or str(error))
        return
    for entry in shown:
        if entry.is_dir(follow_symlinks=False):  # links could lead in a circle
            yield from _in_folder(entry.path)
        elif entry.name.lower().endswith(decode.SUFFIXES):
            yield Found(entry.path)
