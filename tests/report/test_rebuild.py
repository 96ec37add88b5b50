"""`report` rebuilds what a run leaves, a killed run leaves the same, and `--clean` removes all of it."""

import html
import shutil
from pathlib import Path
from typing import Dict, Set

from support import end, killed_at, start
from tensorboard.backend.event_processing import plugin_event_accumulator as accumulator

from estimator_mnist.model_dir import prepare


def test_report_rebuilds_everything_alike(finished, copy, cli):
    page, picture = (copy / "report.html").read_text(), (copy / "plots" / "mistakes.png").read_bytes()
    summaries = tags_and_steps(copy)
    (copy / "report.html").unlink()
    shutil.rmtree(copy / "plots")
    shutil.rmtree(copy / "projector")
    before = (copy / "results.json").stat().st_mtime_ns
    done = cli("report", "--model_dir", copy)
    assert done.returncode == 0 and done.stderr == "" and "report.html" in done.stdout, done.stderr
    assert (copy / "report.html").read_text() == page.replace(html.escape(finished.name), "run")
    assert (copy / "plots" / "mistakes.png").read_bytes() == picture
    assert tags_and_steps(copy) == summaries and (copy / "results.json").stat().st_mtime_ns == before
    assert not [path for path in copy.rglob("*") if ".new-" in path.name or "unfinished" in path.name]


def test_a_killed_run_ends_with_the_same_set_of_summaries(finished, finished_flags, tmp_path):
    killed = tmp_path / "killed"
    killed_at(killed, "model.ckpt-63.index", *finished_flags)
    assert not (killed / "results.json").exists()
    assert end(start(killed, *finished_flags))[0] == 0
    summaries = tags_and_steps(finished)
    assert tags_and_steps(killed) == summaries
    assert summaries["."]["gradients/dense1/kernel"] == {0, 32, 63, 94, 126}
    assert summaries["."]["weights/logits/bias"] == {0, 32, 63, 94, 126}
    assert {"filters", "_hparams_/session_start_info", "custom_scalars__config__"} <= set(summaries["."])
    assert {"confusion_matrix", "mistakes", "pr_curve/7/pr_curves", "loss"} <= set(summaries["eval_test"])


def test_report_refuses_an_unfinished_run_in_one_line(copy, cli):
    checkpoint = copy / "model.ckpt-126.index"
    checkpoint.write_bytes(b"")
    corrupt = cli("report", "--model_dir", copy)
    (copy / "results.json").unlink()
    unfinished = cli("report", "--model_dir", copy)
    for done, message in (
        (corrupt, "the last checkpoint"),
        (unfinished, "is not finished"),
        (cli("report"), "holds no"),
    ):
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: --model_dir") and message in done.stderr


def test_clean_removes_everything_that_a_run_left(copy, cli):
    (copy / "notes.txt").write_text("mine")
    prepare._clean(copy)
    assert sorted(path.name for path in copy.iterdir()) == [".lock", "notes.txt"]


def tags_and_steps(model_dir: Path) -> Dict[str, Dict[str, Set[int]]]:
    """Returns {folder: {tag: steps}} as TensorBoard reads them."""
    tags: Dict[str, Dict[str, Set[int]]] = {}
    for folder in (".", "eval_test"):
        events = accumulator.EventAccumulator(str(model_dir / folder), size_guidance={accumulator.TENSORS: 0})
        events.Reload()
        tags[folder] = {tag: {event.step for event in events.Tensors(tag)} for tag in events.Tags()["tensors"]}
    return tags
