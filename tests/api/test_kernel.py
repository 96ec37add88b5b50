"""A notebook's kernel survives interrupts: one saves the step, several end a run at once."""

import os
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
from support import PATIENCE, ROOT, wait_until

SETTINGS = "train_steps=200_000, evals=2000, verbose=False"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Any]:
    """(manager, client) of a kernel that runs in the test's folder."""
    manager_module = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    manager, client = manager_module.start_new_kernel(
        cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": str(ROOT)}, startup_timeout=PATIENCE
    )
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def reply_to_last_cell(client: Any) -> Any:
    """Waits for the cell that runs, and returns the content of the kernel's reply."""
    return client.get_shell_msg(timeout=PATIENCE)["content"]


def reply_to(client: Any, source: str) -> Any:
    """Runs a cell, and returns the content of the kernel's reply."""
    return client.execute(source, reply=True, timeout=PATIENCE)["content"]


def test_interrupts_never_end_the_kernel(kernel, tmp_path):
    manager, client = kernel
    assert reply_to(client, "import estimator_mnist as em")["status"] == "ok"

    client.execute(f"em.train('dense', 'sample', model_dir='one', {SETTINGS})")
    wait_until((tmp_path / "one" / "model.ckpt-100.index").exists)
    manager.interrupt_kernel()
    reply = reply_to_last_cell(client)
    assert reply["ename"] == "KeyboardInterrupt" and "stopped after step" in reply["evalue"]
    step = int(reply["evalue"].split()[3].replace(",", ""))
    assert (tmp_path / "one" / f"model.ckpt-{step}.index").exists()

    client.execute(f"em.train('dense', 'sample', model_dir='two', {SETTINGS})")
    wait_until((tmp_path / "two" / "model.ckpt-100.index").exists)
    for _ in range(4):
        manager.interrupt_kernel()
        time.sleep(0.01)
    assert reply_to_last_cell(client)["ename"] == "KeyboardInterrupt"
    trained = "em.train('dense', 'sample', model_dir='three', train_steps=5, evals=1, verbose=False).results"
    wait_until(lambda: reply_to(client, trained)["status"] == "ok", every=1)  # an interrupt may come late
    assert manager.is_alive()
