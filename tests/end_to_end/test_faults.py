"""Every fault that a run can meet: its message, that nothing is lost, and that the same command resumes the run."""

import resource
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support import DATA_DIR, PATIENCE, RUN, end, killed_at, resumes_to_the_same_end, start, wait_for

from benchmarks import faults
from estimator_mnist.config.fields import MODELS
from estimator_mnist.model_dir import checkpoints
from input_fns.sources import idx

# One step a session call, and steps slow enough that a signal arrives between two evaluations.
SLOW = ["--source", "sample", "--model", "conv", "--train_steps", "60", "--evals", "3", "--iterations_per_loop", "1"]


@pytest.fixture(scope="module")
def slow(tmp_path_factory) -> Path:
    """The model_dir of an uninterrupted run of SLOW."""
    folder = tmp_path_factory.mktemp("slow") / "run"
    assert start(folder, *SLOW).wait(PATIENCE) == 0
    return folder


def test_20_kills_at_random_moments_change_nothing(capfd):
    assert faults.main(["--kills", "20", "--train_steps", "300", "--evals", "3"]) == 0
    out = capfd.readouterr().out
    assert "20 kills in" in out and out.splitlines()[-3].split()[-2:] == ["20", "0"]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_resumes_bitwise_equal_after_a_kill(tmp_path, model):
    flags = ["--source", "sample", "--model", model, "--train_steps", "36", "--evals", "3", "--batch_size", "64"]
    flags += ["--dropout_rate", "0.3", "--learning_rate_schedule", "one_cycle", "--iterations_per_loop", "5"]
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    assert start(uninterrupted, *flags).wait(PATIENCE) == 0
    killed_at(killed, "model.ckpt-12.index", *flags)
    step = checkpoints.steps(killed)[0]  # 12, or a later one if the kill came late
    assert 12 <= step < 36
    assert f"Resuming after step {step} of 36" in resumes_to_the_same_end(killed, uninterrupted, flags)


@pytest.mark.parametrize("signum, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_the_step_and_says_how_to_resume(tmp_path, slow, signum, code):
    cut = tmp_path / "cut"
    process = start(cut, *SLOW)
    wait_for(process, cut, "model.ckpt-20.index")
    time.sleep(0.7)  # into the steps after the evaluation
    process.send_signal(signum)
    returned, out, err = end(process)
    assert returned == code and err == ""
    saved = checkpoints.steps(cut)[0]
    assert f"after step {saved}, which is saved; rerun the same command to resume" in out and 20 <= saved < 60
    assert f"Resuming after step {saved} of 60" in resumes_to_the_same_end(cut, slow, SLOW)


def test_a_second_sigint_ends_the_run_at_once(tmp_path):
    flags = ["--source", "sample", "--model", "conv_plain", "--train_steps", "100", "--batch_size", "80"]
    process = start(tmp_path / "run", *flags, "--iterations_per_loop", "50")  # a session call takes some seconds
    wait_for(process, tmp_path / "run", "model.ckpt-0.index")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    code, out, err = end(process)
    assert code == 130 and err == "" and "saved" not in out
    assert checkpoints.steps(tmp_path / "run") == [0], "it did not wait for the end of the call"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [truncate, empty, flip, Path.unlink], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("file", ["model.ckpt-300.index", "model.ckpt-300.data-00000-of-00001"])
def test_a_corrupt_checkpoint_is_named_and_skipped(half, run, file, harm):
    harm(half / file)
    out = resumes_to_the_same_end(half, run)
    assert "Skipped model.ckpt-300, which is corrupt: " in out and "Resuming after step 200 of 400" in out


@pytest.mark.parametrize("content", ["", "junk", 'model_checkpoint_path: "model.ckpt-999"\n', "\x00\xff"])
def test_a_garbled_checkpoint_file_is_repaired(half, run, content):
    (half / "checkpoint").write_text(content)
    assert "Resuming after step 300 of 400" in resumes_to_the_same_end(half, run)


def test_a_missing_checkpoint_file_is_repaired(half, run):
    (half / "checkpoint").unlink()
    assert "Resuming after step 300 of 400" in resumes_to_the_same_end(half, run)


def test_a_checkpoint_with_non_finite_weights_is_skipped(half):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        reader = tf.train.load_checkpoint(checkpoints.prefix(half, 300))
        values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        values["dense1/kernel"][3, 3] = np.nan
        variables = [tf.compat.v1.get_variable(name, initializer=value) for name, value in values.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(half / "model.ckpt"), global_step=300, write_state=False)
    assert checkpoints.corruption(checkpoints.prefix(half, 300)) == "dense1/kernel is not finite"
    assert checkpoints.newest_intact(half) == (200, {300: "dense1/kernel is not finite"})


def test_evaluate_skips_a_corrupt_checkpoint_and_refuses_one_that_is_named(half, cli):
    flip(half / "model.ckpt-300.data-00000-of-00001")
    newest = cli("evaluate", "--model_dir", half)
    assert newest.returncode == 0 and "step 200" in newest.stdout and "Skipped model.ckpt-300" in newest.stderr
    named = cli("evaluate", "--model_dir", half, "--checkpoint", "300")
    assert named.returncode == 2 and named.stderr.count("\n") == 1 and "cannot be used" in named.stderr


def test_evaluate_refuses_another_network_s_checkpoint(half, cli, tmp_path):
    flags = ["--source", "sample", "--model", "lenet5", "--train_steps", "2", "--model_dir", str(tmp_path / "other")]
    assert cli(*flags).returncode == 0
    done = cli("evaluate", "--model_dir", half, "--checkpoint", tmp_path / "other" / "model.ckpt-2")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "it holds no dense1/kernel" in done.stderr


def test_no_intact_checkpoint_is_one_line_and_nothing_is_deleted(half):
    for path in half.glob("model.ckpt-*.index"):
        truncate(path)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in half.iterdir() if path.name != ".lock")
    code, _, err = end(start(half, *RUN))
    assert code == 2 and err.count("\n") == 1 and "none of its 4 checkpoints is intact (model.ckpt-300: " in err
    assert sorted((path.name, path.stat().st_mtime_ns) for path in half.iterdir() if path.name != ".lock") == before


@pytest.mark.parametrize("harm", [truncate, empty])
def test_a_run_killed_while_writing_its_first_checkpoint_starts_over(run, harm, cli, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(run, cut, ignore=shutil.ignore_patterns("model.ckpt-[1-9]*", "best", "events.*", "results.json"))
    (cut / "checkpoint").unlink()
    harm(cut / "model.ckpt-0.index")
    done = cli("evaluate", "--model_dir", cut)
    assert done.returncode == 2 and "holds no checkpoint yet; train it first" in done.stderr
    assert "Skipped model.ckpt-0, which is corrupt: " in resumes_to_the_same_end(cut, run)


def test_a_garbled_experiment_json_is_one_line(half):
    (half / "experiment.json").write_text('{"model": "con')
    code, _, err = end(start(half, *RUN))
    assert code == 2 and err.count("\n") == 1 and "experiment.json: holds no experiment" in err and "--clean" in err
    assert checkpoints.steps(half)[0] == 300


@pytest.mark.parametrize("harm", [truncate, empty, Path.unlink], ids=lambda harm: harm.__name__)
def test_a_run_with_corrupt_event_files_resumes_to_the_same_results(half, run, harm):
    for path in [*half.glob("events.out.tfevents.*"), *half.glob("eval_test/events.out.tfevents.*")]:
        harm(path)
    resumes_to_the_same_end(half, run)


@pytest.mark.parametrize("kilobytes", [1, 100, 420, 600, 1250])
def test_no_space_for_a_file_is_one_line_and_the_run_can_be_resumed(tmp_path, run, kilobytes):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))

    code, _, err = end(start(tmp_path / "run", *RUN, prepare=limit))
    if kilobytes < 1250:  # the checkpoints of this network take 1.2 MB
        assert code in (1, 2) and err.count("\n") == 1 and "File too large" in err, err
    resumes_to_the_same_end(tmp_path / "run", run)


def test_a_model_dir_deleted_during_the_run_is_one_line(tmp_path):
    process = start(tmp_path / "run", *SLOW)
    wait_for(process, tmp_path / "run", "model.ckpt-20.index")
    while (tmp_path / "run").exists():
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
    code, _, err = end(process)
    assert code == 1 and err.count("\n") == 1 and "was deleted during the run" in err


def test_a_second_run_on_a_model_dir_is_refused(tmp_path):
    process = start(tmp_path / "run", *SLOW)
    wait_for(process, tmp_path / "run", "model.ckpt-0.index")
    process.send_signal(signal.SIGSTOP)  # or it could finish before the second run looks
    code, _, err = end(start(tmp_path / "run", *SLOW, "--clean"))
    assert code == 2 and err.count("\n") == 1 and f"is in use by process {process.pid}" in err
    assert checkpoints.steps(tmp_path / "run"), "--clean has not touched it"
    process.kill()
    process.communicate()
    assert end(start(tmp_path / "run", *SLOW))[0] == 0, "the lock is gone with its process"


def test_a_non_finite_loss_names_the_step_and_keeps_the_last_good_checkpoint(tmp_path):
    flags = ["--source", "sample", "--model", "dense", "--train_steps", "200", "--optimizer", "sgd"]
    code, _, err = end(start(tmp_path / "run", *flags, "--learning_rate", "1e38"))
    assert code == 1 and err.count("\n") == 1, err
    assert "the training loss is" in err and "at step " in err and "--learning_rate" in err
    assert checkpoints.newest_intact(tmp_path / "run")[0] == 0 and not (tmp_path / "run" / "results.json").exists()


def test_divergence_in_the_last_step_leaves_no_results(tmp_path):
    flags = ["--source", "sample", "--model", "dense", "--train_steps", "1", "--optimizer", "sgd"]
    code, _, err = end(start(tmp_path / "run", *flags, "--learning_rate", "1e38"))
    assert code == 1 and err.count("\n") == 1 and "the test loss is" in err and "at step 1;" in err, err
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_resumed_stream_announces_a_new_order(tmp_path):
    flags = ["--source", "sample", "--model", "dense", "--train_steps", "130", "--evals", "2", "--input", "stream"]
    model_dir = tmp_path / "stream"
    assert end(start(model_dir, *flags))[0] == 0
    (model_dir / "results.json").unlink()
    for path in model_dir.glob("model.ckpt-130*"):
        path.unlink()
    code, out, _ = end(start(model_dir, *flags))
    assert code == 0 and "Resuming after step 65 of 130; the stream starts a new epoch, in a new order" in out


def test_a_corrupt_record_in_a_stream_is_one_line(tmp_path, mnist):
    folder = tmp_path / "tfds" / "mnist" / "3.0.1"
    shutil.copytree(DATA_DIR / "mnist" / "3.0.1", folder, ignore=shutil.ignore_patterns("estimator_mnist_cache*"))
    path = folder / "mnist-train.tfrecord-00000-of-00001"
    for changed in (folder, path):
        changed.chmod(0o755)
    data = bytearray(path.read_bytes())
    data[1_000_000] ^= 1
    path.write_bytes(bytes(data))
    flags = ["--input", "stream", "--data_dir", str(tmp_path / "tfds"), "--model", "dense", "--train_steps", "900"]
    code, _, err = end(start(tmp_path / "run", *flags))
    assert code == 2 and err.count("\n") == 1 and str(folder) in err and "corrupted record" in err


def test_a_label_out_of_range_in_idx_files_is_one_line(tmp_path, sample):
    for (split, kind), name in idx.FILE_NAMES.items():
        images, labels = getattr(sample, split).arrays()
        (tmp_path / name).write_bytes(idx.to_bytes(images[..., 0] if kind == "images" else labels))
    labels = tmp_path / idx.FILE_NAMES["train", "labels"]
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x63")
    flags = ["--source", "idx", "--idx_dir", str(tmp_path), "--model", "dense"]
    code, _, err = end(start(tmp_path / "run", *flags))
    assert code == 2 and err.count("\n") == 1 and "holds the label 99; mnist has the labels 0 to 9" in err
    assert not (tmp_path / "run").exists()
