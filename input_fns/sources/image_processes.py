"""Many image files, in the order given, decoded by several processes that stay a little ahead of the consumer.

Each process is an isolated interpreter that reads requests from its standard input and writes images to its standard
output. It ends when its parent has ended in any way, for its input then ends. `multiprocessing` would run the user's
script once more in each process, and fail where that script has no `if __name__ == "__main__"`, as in a notebook.
"""

import collections
import json
import os
import queue
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedReader
from typing import IO, Deque, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, cast

import numpy as np

from input_fns.errors import InputError
from input_fns.sources import isolated_process
from input_fns.sources.image_files import ImageFileError, Size, read_image

CHUNK = 64  # files decoded at a time
CHUNK_BYTES = 1 << 24  # of images decoded at a time
FEW = 4 * CHUNK  # files decoded by this process: others take as long to start as these take to decode
MAX_PROCESSES = 16
# Of processes that decode pictures. NumPy's threads in each would wait for one another's. And glibc would return the
# memory of each picture to the system and ask for it again, which takes a third of the time.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


class Chunk(NamedTuple):
    """Some files and their images."""

    paths: Sequence[str]
    images: np.ndarray  # uint8 [n, height, width, channels]: 1 if all are grey, else 3


def decode_in_order(paths: Iterable[str], count: int, size: Size) -> Iterator[Chunk]:
    """Yields the images of files in chunks.

    Args:
        paths: Of the files.
        count: How many they are.
        size: Of the images.

    Raises:
        InputError: A file is damaged or of another size. It is the first such file.
    """
    chunk_size = max(1, min(CHUNK, CHUNK_BYTES // (3 * size.height * size.width)))
    chunks = _chunks(iter(paths), chunk_size)
    if count <= FEW:
        for chunk in chunks:
            yield Chunk(chunk, _images(*_decode(chunk, size), chunk))
        return
    workers = _Workers(min(_cores(), MAX_PROCESSES, -(-count // chunk_size)))
    try:
        yield from workers.decode(chunks, size)
    finally:
        workers.end()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunks(paths: Iterator[str], size: int) -> Iterator[List[str]]:
    chunk: List[str] = []
    for path in paths:
        chunk.append(path)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Workers:
    """The processes, and a thread for each that waits for it."""

    def __init__(self, count: int):
        self._processes: List[subprocess.Popen[bytes]] = []
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, "image_processes")
        self._ahead = 4 * count  # chunks
        try:
            for _ in range(count):
                self._start()
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        # In its own session: Ctrl-C reaches this process alone, which ends the others.
        process = subprocess.Popen(
            isolated_process.command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        )
        self._processes.append(process)
        self._idle.put(process)

    def decode(self, chunks: Iterator[List[str]], size: Size) -> Iterator[Chunk]:
        pending: Deque[Tuple[List[str], Future[np.ndarray]]] = collections.deque()
        for chunk in chunks:
            pending.append((chunk, self._threads.submit(self._decode, chunk, size)))
            if len(pending) >= self._ahead:
                yield self._next(pending)
        while pending:
            yield self._next(pending)

    @staticmethod
    def _next(pending: Deque[Tuple[List[str], "Future[np.ndarray]"]]) -> Chunk:
        chunk, future = pending.popleft()
        return Chunk(chunk, future.result())

    def _decode(self, chunk: List[str], size: Size) -> np.ndarray:
        process = self._idle.get()
        try:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps([chunk, list(size)]).encode() + b"\n")
            process.stdin.flush()
            count, channels, error = json.loads(process.stdout.readline())
            images = np.empty((count, size.height, size.width, channels), np.uint8)
            if cast(BufferedReader, process.stdout).readinto(images.reshape(-1).data) != images.nbytes:
                raise EOFError
        except (OSError, EOFError, ValueError) as failure:
            raise InputError(
                f"{chunk[0]}: the process that decoded it and {len(chunk) - 1} files after it ended with "
                f"{process.wait()}; if the machine is short of memory, make the images smaller"
            ) from failure
        finally:
            self._idle.put(process)
        return _images(images, error, chunk)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                _close(pipe)


def _close(pipe: Optional[IO[bytes]]) -> None:
    try:
        if pipe:
            pipe.close()
    except OSError:  # a request that was not sent
        pass


def _images(images: np.ndarray, error: Optional[str], chunk: Sequence[str]) -> np.ndarray:
    """Returns the images of a chunk.

    Raises:
        InputError: There are fewer of them than files, for the next file is damaged.
    """
    if error is not None:
        raise InputError(f"{chunk[len(images)]}: {error}")
    return images


def _decode(paths: Sequence[str], size: Size) -> Tuple[np.ndarray, Optional[str]]:
    """Returns the images of files up to the first that is damaged, and what is wrong with that."""
    images: List[np.ndarray] = []
    error = None
    try:
        for path in paths:
            images.append(read_image(path, size))
    except ImageFileError as wrong:
        error = str(wrong)
    channels = max((image.shape[2] for image in images), default=1)
    array = np.empty((len(images), size.height, size.width, channels), np.uint8)
    for position, image in enumerate(images):
        array[position] = image  # a grey image in all three channels
    return array, error


def main() -> None:
    """The program of a process. A request is a line of JSON, as is the answer, which images follow."""
    for line in sys.stdin.buffer:
        paths, size = json.loads(line)
        images, error = _decode(paths, Size(*size))
        sys.stdout.buffer.write(json.dumps([len(images), images.shape[3], error]).encode() + b"\n")
        sys.stdout.buffer.write(images.reshape(-1).data)
        sys.stdout.buffer.flush()
