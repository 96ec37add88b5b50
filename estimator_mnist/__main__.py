"""The command line: runs a command and turns what ends it into an exit code.

0: done. 1: the run failed. 2: the user's input is wrong. 130 and 143: SIGINT and SIGTERM ended it, saved.
"""

import time

STARTED = time.time()  # before any import that takes long

from estimator_mnist.system import supported  # noqa: E402

supported.exit_unless_possible()  # before the imports that fail where nothing can run

import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import traceback  # noqa: E402

from estimator_mnist.cli import commands, help  # noqa: E402
from estimator_mnist.config import flags  # noqa: E402
from estimator_mnist.system.errors import RunError  # noqa: E402
from estimator_mnist.system.remote_path import RemoteError  # noqa: E402
from estimator_mnist.system.signals import Stopped  # noqa: E402
from estimator_mnist.system.terminal import printable  # noqa: E402
from estimator_mnist.user_code import UserCodeError  # noqa: E402
from input_fns import InputError  # noqa: E402


def main(argv: list) -> int:
    """Runs the command that `argv` names and returns the exit code."""
    try:
        return _run(argv)
    except UserCodeError as error:
        if flags.verbose():
            _show_traceback(error.__cause__ or error)
        return _fail(str(error), exit_code=2)
    except InputError as error:
        return _fail(str(error), exit_code=2)
    except RunError as error:
        return _fail(str(error))
    except RemoteError as error:  # most places name the flag, too, and raise one of the errors above
        return _fail(f"{error.filename}: {error.strerror}; the folder must answer and be writable")
    except (KeyboardInterrupt, Stopped) as stop:
        _drop_output()  # Python would flush it at exit, and wait for a reader that no longer reads
        return stop.exit_code if isinstance(stop, Stopped) else 130
    except BrokenPipeError:  # the reader of the output has ended: there is nobody to tell
        _drop_output()
        return 1
    except Exception as error:
        return _fail_unexpected(error)


def _run(argv: list) -> int:
    command, words = (argv[1] if len(argv) > 1 else ""), argv[2:]
    if command in commands.LAUNCHERS:
        return commands.LAUNCHERS[command](words)
    if help.is_wanted(argv[1:]):
        print(help.text())
        return 0
    if command == "sweep":  # its flags take lists
        return commands.sweep(words)
    return commands.COMMANDS[flags.parse(argv)](STARTED)


def _fail(text: str, exit_code: int = 1) -> int:
    print(f"error: {printable(text)}", file=sys.stderr)
    return exit_code


def _fail_unexpected(error: Exception) -> int:
    """Reports a bug in one line that names the file with its traceback; shows the traceback if --verbosity asks."""
    if flags.verbose():
        _show_traceback(error)
        return 1
    text = " ".join([f"{type(error).__name__}:", *str(error).split()])
    text = text if len(text) <= 300 else f"{text[:300]}..."
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="estimator-mnist-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            traceback.print_exception(type(error), error, error.__traceback__, file=file)
    except OSError as unwritable:
        return _fail(f"unexpected {text} (no traceback could be written: {unwritable.strerror})")
    return _fail(f"unexpected {text}; please report it with its traceback, which is in {file.name}")


def _show_traceback(error: BaseException) -> None:
    traceback.print_exception(type(error), error, error.__traceback__)


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    code = main(sys.argv)
    if "tensorflow_io" in sys.modules:  # its client of s3:// aborts a process that exits normally
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
