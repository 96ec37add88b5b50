"""The command line: picks a command, nothing else."""

import time

STARTED = time.time()  # before any import that takes long

import os  # noqa: E402
import sys  # noqa: E402

from estimator_mnist.cli import commands  # noqa: E402
from estimator_mnist.config import flags  # noqa: E402
from estimator_mnist.system.errors import RunError  # noqa: E402
from estimator_mnist.system.paths import RemoteError  # noqa: E402
from estimator_mnist.system.signals import Stopped  # noqa: E402
from input_fns import InputError  # noqa: E402


def main(argv: list) -> int:
    """Runs the command that `argv` names and returns the exit code."""
    try:
        if len(argv) > 1 and argv[1] in commands.PASSING_ON:
            return commands.PASSING_ON[argv[1]](argv[2:])
        return commands.COMMANDS[flags.parse(argv)](STARTED)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RemoteError as error:  # between the places that tell of it with more words
        print(f"error: {error.filename}: {error.strerror}; the folder must answer and be writable", file=sys.stderr)
        return 1
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Stopped) as stop:
        _drop_output()  # Python would write the rest at its end, and wait for a reader that reads no more
        return stop.exit_code if isinstance(stop, Stopped) else 130
    except BrokenPipeError:  # the reader of a pipe has gone: nobody is left to tell
        _drop_output()
        return 1


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    code = main(sys.argv)
    if "tensorflow_io" in sys.modules:  # its client of s3:// aborts the process where that ends as others do
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
