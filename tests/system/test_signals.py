"""Signals of the command line, which owns its process, and of the Python API, which does not."""

import os
import signal
import threading
from typing import Any, Iterator, List

import pytest

from estimator_mnist.system.signals import Interrupts, Stopped, Stopper


@pytest.fixture
def wakeup() -> Iterator[int]:
    """The wakeup file descriptor of an event loop."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    yield writer
    signal.set_wakeup_fd(before)
    os.close(reader)
    os.close(writer)


def handlers() -> List[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("kind", [Stopper, Interrupts])
def test_what_was_there_is_put_back(kind, wakeup):
    before = handlers()
    with kind():
        assert handlers()[0] != before[0]
    assert handlers() == before
    assert signal.set_wakeup_fd(wakeup) == wakeup


def test_the_first_interrupt_waits_while_training_and_the_second_does_not():
    with Interrupts() as stopper:
        stopper.deferring = True
        signal.raise_signal(signal.SIGINT)
        assert stopper.is_requested() and stopper.requested == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_outside_training_is_pythons_own():
    with Interrupts() as stopper:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not stopper.is_requested()


def test_interrupts_leave_sigterm_alone():
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) == before


def test_a_program_that_ignores_interrupts_keeps_ignoring_them():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as stopper:
            stopper.deferring = True
            signal.raise_signal(signal.SIGINT)
            assert not stopper.is_requested()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_touch_no_signals():
    before, seen = handlers(), []

    def enter() -> None:
        with Interrupts():
            seen.append(handlers())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_command_stops_at_once_outside_training():
    with Stopper() as stopper, pytest.raises(Stopped) as stopped:
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.exit_code == 128 + signal.SIGTERM and stopper.is_requested()
