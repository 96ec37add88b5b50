"""A model_dir in a remote store. TensorFlow's in-memory file system, ram://, takes the place of gs:// and s3://.

Only the process that wrote to ram:// can read it, so all commands run in one child process.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import tensorflow as tf
from support import ROOT, RUN

REMOTE = "ram://bucket/a/run"
CALLS: Dict[str, List[str]] = {
    "stopped": RUN,
    "resumed": RUN,
    "finished": RUN,
    "another": [*RUN, "--seed", "5"],
    "evaluate": ["evaluate", "--json"],
    "against": ["evaluate", "--json", "--checkpoint", "best", "--against", "local"],
    "predict": ["predict", "--json", str(ROOT / "docs" / "pictures" / "photo.jpg")],
    "export": ["export", "--json", "--formats", "saved_model,tflite", "--checkpoint", "300"],
    "report": ["report"],
    "clean": [*RUN, "--clean"],
    "no run": ["evaluate", "--model_dir", "ram://bucket/a/other"],
    "no answer": [*RUN, "--model_dir", "gs://bucket/run"],
    "no answer to evaluate": ["evaluate", "--model_dir", "gs://bucket/run"],
    "a file": [*RUN, "--model_dir", f"{REMOTE}/report.html"],
    "not a run": [*RUN, "--clean", "--model_dir", f"{REMOTE}/plots"],
}
UNKNOWN: Dict[str, List[str]] = {
    "--model_dir": [*RUN, "--model_dir", "s3://bucket/run"],
    "--against": ["evaluate", "--against", "s3://bucket/run"],
    "--checkpoint": ["evaluate", "--checkpoint", "s3://bucket/run/model.ckpt-300"],
}
NO_WAY_TO_GS = {"https_proxy": "http://127.0.0.1:9", "NO_GCE_CHECK": "true", "GCS_RETRY_CONFIG_MAX_RETRIES": "0"}
CHILD = """
import contextlib, io, json, os, signal, sys
import tensorflow as tf
from estimator_mnist.__main__ import main
from estimator_mnist.config.flags import FLAGS

class Output(io.StringIO):
    def write(self, text):
        if self.stop_at and self.stop_at in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)

def call(words, stop_at=None):
    FLAGS.unparse_flags()
    tf.compat.v1.summary.FileWriterCache.clear()  # outside this test, each command is a process
    out, err = Output(), io.StringIO()
    out.stop_at = stop_at
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["estimator_mnist", *words])
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}

remote, calls, local = json.loads(sys.argv[1])
outcomes = {}
for name, words in calls.items():
    named = [] if "--model_dir" in words else ["--model_dir", remote]
    words = [local if word == "local" else word for word in words] + named
    outcomes[name] = call(words, stop_at="step 100, epoch" if name == "stopped" else None)
    paths = [os.path.join(folder, file) for folder, _, files in tf.io.gfile.walk(remote) for file in files]
    # ram:// lists "_config.pbtxt" in projector/ because there is a projector_config.pbtxt beside it.
    outcomes[name]["files"] = [file[len(remote) + 1 :] for file in paths if tf.io.gfile.exists(file)]
    if name == "resumed":
        for file in outcomes[name]["files"]:
            tf.io.gfile.makedirs(os.path.dirname(os.path.join("copy", file)))
            tf.io.gfile.copy(os.path.join(remote, file), os.path.join("copy", file))
    if name == "evaluate":
        tf.io.gfile.remove(remote + "/report.html")  # so that the report command has to write it
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def scratch(run, tmp_path_factory) -> Path:
    """A folder with copy/, the files of the remote run when it finished, and outcomes.json, what each call did."""
    folder = tmp_path_factory.mktemp("remote")
    words = json.dumps([REMOTE, {**CALLS, **UNKNOWN}, str(run)])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **NO_WAY_TO_GS},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (folder / "outcomes.json").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def outcomes(scratch) -> Dict[str, Dict[str, Any]]:
    """{call: {"code", "out", "err", "files"}}: its exit code, its output, and the files in the model_dir after it."""
    return json.loads((scratch / "outcomes.json").read_text())


def test_a_stopped_remote_run_resumes_bitwise_equal(scratch, outcomes, run):
    stopped, resumed = outcomes["stopped"], outcomes["resumed"]
    assert stopped["code"] == 143 and "Stopped by SIGTERM after step 100, which is saved" in stopped["out"]
    assert "model.ckpt-100.index" in stopped["files"] and "results.json" not in stopped["files"]
    assert resumed["code"] == 0 and resumed["err"] == "" and "Resuming after step 100 of 400" in resumed["out"]
    assert sorted(path.name for path in scratch.iterdir()) == ["copy", "outcomes.json"], "no folder ram:"
    ours, theirs = (tf.train.load_checkpoint(str(folder / "model.ckpt-400")) for folder in (scratch / "copy", run))
    assert ours.get_variable_to_shape_map() == theirs.get_variable_to_shape_map()
    for name in ours.get_variable_to_shape_map():
        np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))
    figures = [json.loads((folder / "results.json").read_text()) for folder in (scratch / "copy", run)]
    for key in ("untrained", "train_loss", "final", "best"):
        assert figures[0][key] == figures[1][key]
    assert (scratch / "copy" / "checkpoint").read_text().startswith('model_checkpoint_path: "model.ckpt-400"')


def test_a_finished_remote_run_is_shown_and_another_experiment_refused(outcomes):
    finished, another = outcomes["finished"], outcomes["another"]
    assert finished["code"] == 0 and f"{REMOTE}: this experiment is finished" in finished["out"]
    assert finished["files"] == outcomes["resumed"]["files"] and f"Report: {REMOTE}/report.html" in finished["out"]
    assert another["code"] == 2
    assert another["err"].startswith(f"error: --model_dir {REMOTE}: holds another experiment: --seed is 5, not 0;")


def test_a_remote_run_is_evaluated_and_compared(outcomes, run):
    final = json.loads((run / "results.json").read_text())["final"]
    assert outcomes["evaluate"]["code"] == outcomes["against"]["code"] == 0
    assert json.loads(outcomes["evaluate"]["out"])["accuracy"] == final["test_accuracy"]
    against = json.loads(outcomes["against"]["out"])["against"]
    assert against["model_dir"] == str(run) and against["only_b_right"] + against["only_a_right"] >= 0


def test_a_remote_model_classifies_files(outcomes):
    (answer,) = json.loads(outcomes["predict"]["out"])
    assert outcomes["predict"]["code"] == 0 and answer["class"] == 5


def test_a_remote_run_is_exported(outcomes):
    rows = json.loads(outcomes["export"]["out"])
    assert outcomes["export"]["code"] == 0 and outcomes["export"]["err"] == ""
    assert [row["format"] for row in rows] == ["checkpoint", "saved_model", "tflite"]
    assert all(row["path"].startswith(f"{REMOTE}/") and row["bytes"] > 50_000 for row in rows)
    assert "export/tflite/model.tflite" in outcomes["export"]["files"]
    version = rows[1]["path"][len(REMOTE) + 1 :]
    assert f"{version}/saved_model.pb" in outcomes["export"]["files"] and version.startswith("export/step-300/")


def test_report_rebuilds_the_report_of_a_remote_run(outcomes):
    assert "report.html" not in outcomes["against"]["files"] + outcomes["export"]["files"]
    assert outcomes["report"]["code"] == 0 and "report.html" in outcomes["report"]["files"]


def test_clean_starts_over_and_a_remote_run_leaves_the_files_of_a_local_one(outcomes, run):
    assert outcomes["clean"]["code"] == 0 and "Resuming" not in outcomes["clean"]["out"]
    local = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    # BUILD_NOTES.md, "Remote folders", says why these three differ.
    local = local - {".lock", "eval_test/projector_config.pbtxt", "projector/hidden.bytes"} | {"projector/hidden.tsv"}
    assert _names(outcomes["clean"]["files"]) == _names(local)


def _names(files: Any) -> List[str]:
    """Returns file names, sorted, with words for the times and hosts in them."""
    timeless = (re.sub(r"tfevents\.\d+\.(?!end$).*", "tfevents.TIME.HOST", file) for file in files)
    return sorted(re.sub(r"^(export/\w+)/\d+/", r"\1/VERSION/", file) for file in timeless)


@pytest.mark.parametrize(
    "call, said",
    [
        ("no run", "--model_dir ram://bucket/a/other: holds no experiment; train one first, or name its folder"),
        ("a file", f"--model_dir {REMOTE}/report.html: is a file, not a folder"),
        ("not a run", f"--model_dir {REMOTE}/plots: is not empty and holds no experiment.json; not deleted"),
        *((flag, f"{flag} s3://bucket/run") for flag in UNKNOWN),
    ],
)
def test_a_wrong_remote_folder_is_one_line(outcomes, call, said):
    assert outcomes[call]["code"] == 2 and outcomes[call]["err"].startswith(f"error: {said}")
    assert outcomes[call]["err"].count("\n") == 1
    if call in UNKNOWN:
        assert "TensorFlow has no file system for s3:// here, only for file://, gs://, ram://" in outcomes[call]["err"]


def test_a_store_that_does_not_answer_is_one_line(outcomes):
    for call in ("no answer", "no answer to evaluate"):
        assert outcomes[call]["code"] == 2 and outcomes[call]["err"].count("\n") == 1
        assert outcomes[call]["err"].startswith("error: --model_dir gs://bucket/run: cannot be used (")
        assert "Failed to connect to 127.0.0.1 port 9" in outcomes[call]["err"]
        assert "name a place that answers and that you may read and write" in outcomes[call]["err"]


def test_a_sweep_needs_a_local_folder(cli):
    done = cli("sweep", *RUN[:4], "--seed", "0-1", "--sweep_dir", "gs://bucket/sweep")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --sweep_dir gs://bucket/sweep: must be a local folder")
