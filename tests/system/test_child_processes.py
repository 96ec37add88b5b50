"""Child processes: how they are started, signalled and measured, and that none of them outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List

import pytest
from support import ROOT, is_running, wait_until

from estimator_mnist.system import child_processes
from estimator_mnist.system.child_processes import INHERIT, PIPE, ChildProcesses, Program, exit_reason

# Counts the SIGTERMs that it gets, a line each, and ends only by SIGKILL.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda signum, frame: os.write(1, b"SIGTERM\\n"))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def python(script: str, *words: object) -> List[str]:
    return [sys.executable, "-c", script, *map(str, words)]


def test_a_child_has_its_environment_folder_and_output_files(tmp_path):
    script = "import os, sys; print(os.environ['WORD'], os.getcwd()); print('trouble', file=sys.stderr); sys.exit(3)"
    out, err = tmp_path / "out", tmp_path / "err"
    with ChildProcesses[str]() as children:
        child = children.start("one", Program(python(script), out, err, {"WORD": "value"}, folder=tmp_path))
        assert child.wait() == child.poll() == 3 and not child.timed_out
        assert children.ended() == [("one", 3)] and not children.running and children.ended() == []
    assert out.read_text() == f"value {tmp_path}\n" and err.read_text() == "trouble\n"


def test_both_streams_of_a_child_can_be_read_from_one_pipe():
    script = "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.stdout.buffer.write(b'\\xff')"
    with ChildProcesses[int]() as children:
        assert children.start(0, Program(python(script), PIPE)).lines.read() == "one\ntwo\n\ufffd"


def test_a_child_keeps_the_file_descriptors_that_it_is_given():
    reader, writer = os.pipe()
    with ChildProcesses[int]() as children:
        command = python("import os, sys; os.write(int(sys.argv[1]), b'through')", writer)
        assert children.start(0, Program(command, INHERIT, INHERIT, inherited_files=(writer,))).wait() == 0
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "through"


def test_each_child_gets_a_signal_once_however_often_it_is_sent():
    with ChildProcesses[str]() as children:
        child = children.start("one", Program(python(STUBBORN), PIPE))
        assert child.lines.readline() == "ready\n"
        for _ in range(3):
            children.send_once(signal.SIGTERM, children.running)
            time.sleep(0.2)
        children.send_once(signal.SIGKILL, ["one"])
        assert child.lines.read() == "SIGTERM\n"
        assert child.wait() == -signal.SIGKILL


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period():
    with ChildProcesses[str]() as children:
        child = children.start("one", Program(python(STUBBORN), PIPE))
        assert child.lines.readline() == "ready\n"
        children.send_once(signal.SIGTERM, children.running)
        began = time.monotonic()
        children.kill_after(1.0)
        children.kill_after(1000.0)  # does not extend the grace period
        assert children.ended() == []
        ends: list = []
        wait_until(lambda: ends.extend(children.ended()) or ends)
        assert ends == [("one", -signal.SIGKILL)] and time.monotonic() - began >= 1.0
        assert child.lines.read() == "SIGTERM\n"


def test_a_child_that_runs_beyond_its_time_limit_is_killed():
    with ChildProcesses[str]() as children:
        child = children.start("one", Program(python(STUBBORN)))
        assert child.wait(limit_seconds=0.5) == -signal.SIGKILL
        assert child.timed_out and child.seconds >= 0.5


def test_leaving_the_context_by_an_error_kills_the_children():
    with pytest.raises(RuntimeError), ChildProcesses[str]() as children:
        child = children.start("one", Program(python(STUBBORN)))
        raise RuntimeError
    assert child.exit_code == -signal.SIGKILL and not is_running(child.pid)


def test_a_program_that_does_not_exist_is_an_os_error_and_leaves_nothing_running(tmp_path):
    with ChildProcesses[str]() as children:
        with pytest.raises(OSError):
            children.start("one", Program([str(tmp_path / "nothing")]))
        with pytest.raises(OSError):
            children.start("two", Program(python("pass"), tmp_path / "no" / "log"))
        assert not children.running


PARENT = """
import sys
from estimator_mnist.system.child_processes import INHERIT, ChildProcesses, Program
with ChildProcesses() as children:
    child = children.start("one", Program([sys.executable, "-c", sys.argv[1]], INHERIT, INHERIT))
    print(child.pid, flush=True)
    child.wait()
"""
CHILD = """
import time
from estimator_mnist.system.signals import Stopped, Stopper
try:
    with Stopper():
        print("ready", flush=True)
        time.sleep(600)
except Stopped as stopped:
    print("stopped by", stopped, flush=True)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes from /proc")
def test_a_child_stops_when_its_parent_is_killed(signum):
    """Even by SIGKILL, at which the parent runs no line of its own any more."""
    command = python(PARENT, CHILD)
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    first, second = parent.stdout.readline().strip(), parent.stdout.readline().strip()
    pid = int(second if first == "ready" else first)
    parent.send_signal(signum)
    output, _ = parent.communicate(timeout=60)
    wait_until(lambda: not is_running(pid))
    # At Ctrl-C the parent itself is left to end the child: the child is in a session of its own.
    assert output == ("" if signum == signal.SIGINT else "stopped by SIGTERM\n")


def test_a_failed_child_is_described_by_its_exit_code_or_signal():
    assert exit_reason(2) == "exit code 2" and exit_reason(-signal.SIGKILL) == "SIGKILL"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binds processes to cores as Linux does")
def test_a_child_can_be_bound_to_a_core():
    core = max(os.sched_getaffinity(0))
    with ChildProcesses[int]() as children:
        command = python("import os; print(os.sched_getaffinity(0))")
        assert children.start(0, Program(command, PIPE, cores=(core,))).lines.read() == f"{{{core}}}\n"


def test_wall_time_and_peak_memory_are_those_of_the_child():
    # Measured by a small process: a child's peak counts what its parent held, and this one may have held much.
    measure = """
import sys
from estimator_mnist.system.child_processes import ChildProcesses, Program
with ChildProcesses() as children:
    child = children.start("one", Program([sys.executable, "-c", sys.argv[1]]))
    child.wait()
    print(child.peak_bytes, child.seconds)
"""
    scripts = ("pass", "import time; x = b'x' * 10**9; time.sleep(0.5)")
    measured = [subprocess.check_output(python(measure, script), cwd=ROOT, text=True).split() for script in scripts]
    (small, quick), (large, slow) = [(int(peak), float(seconds)) for peak, seconds in measured]
    assert small < 10**9 < large < 1.1 * 10**9
    assert quick > 0 and slow > 0.5


def test_it_imports_no_tensorflow():
    script = f"import sys, {child_processes.__name__}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.call(python(script), cwd=ROOT) == 0
