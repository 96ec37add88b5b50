"""Sweeps: what a command line means, real runs on real digits in parallel, and every way in which a sweep ends."""

import csv
import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import List

import numpy as np
import pytest
from absl.testing import flagsaver
from support import PATIENCE, assert_equal_to_the_bit, checkpoint, is_running, launch, wait_until

from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import statistics
from estimator_mnist.model_dir import predictions
from estimator_mnist.sweep import search_space, table, value_lists
from estimator_mnist.sweep.search import FAILED, FINISHED, PRUNED, STOPPED, STUDY, OptunaSearch, Run
from estimator_mnist.sweep.search_space import Range
from input_fns import InputError

QUICK = ["--source", "sample", "--model", "dense", "--train_steps", "40", "--evals", "2"]
GRID = [*QUICK, "--learning_rate", "0.001,0.01", "--seed"]
# One step per session call, so that a run can be interrupted during its training.
SLOW = ["--source", "sample", "--model", "conv", "--train_steps", "80", "--evals", "3", "--iterations_per_loop", "1"]


@pytest.fixture
def read():
    """Reads the words of a sweep's command line."""
    with flagsaver.flagsaver():
        yield lambda *words: value_lists.read(list(words))
    flags.FLAGS.unparse_flags()


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """The folder of a finished sweep over two learning rates and two seeds. Tests share it and must not change it."""
    folder = tmp_path_factory.mktemp("grid") / "sweep"
    done = sweep(folder, *GRID, "0-1")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    (folder / "printed.txt").write_text(done.stdout)
    return folder


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    return launch(folder.parent, "sweep", *words, "--sweep_dir", str(folder))


def sweep(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    process = start(folder, *words)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def lines(path: Path) -> List[dict]:
    with open(path) as file:
        return list(csv.DictReader(file))


def test_lists_and_integer_ranges_make_a_grid(read):
    space = read("--model", "dense,conv", "--learning_rate=0.001,3e-3", "--seed", "0-2,7", "--batch_size", "64")
    assert space.search == "grid" and space.fixed == {"batch_size": "64"}
    assert space.lists["seed"] == ["0", "1", "2", "7"] and space.lists["learning_rate"] == ["0.001", "0.003"]
    assert len(space.settings()) == len(set(space.settings())) == 4
    names = {search_space.run_name(setting, seed) for setting in space.settings() for seed in space.seeds}
    assert len(names) == 16 and "conv,learning_rate=0.003,seed=7" in names
    assert str(space.default_folder()) == "runs/sweeps/mnist-model-learning_rate"


def test_booleans_and_a_flagfile_are_read_as_in_other_commands(read, tmp_path):
    (tmp_path / "flags").write_text("--model=dense\n--seed=0-1\n")
    space = read("--flagfile", str(tmp_path / "flags"), "--xla", "false,true", "--nomixed_precision", "--allow_growth")
    assert space.lists == {"model": ["dense"], "seed": ["0", "1"], "xla": ["false", "true"]}
    assert space.fixed == {"mixed_precision": "false", "allow_growth": "true"}


def test_the_first_settings_of_a_random_search_do_not_depend_on_their_number(read):
    words = ["--learning_rate", "log:0.0001..0.1", "--dropout_rate", "0..0.5", "--batch_size", "32,64", "--seed", "0-1"]
    space = read(*words, "--samples", "400")
    drawn = space.settings()
    assert space.search == "random" and len(set(drawn)) == 400
    assert read(*words, "--samples", "7").settings() == drawn[:7]
    rates = np.array([float(dict(setting)["learning_rate"]) for setting in drawn])
    dropped = np.array([float(dict(setting)["dropout_rate"]) for setting in drawn])
    assert rates.min() >= 0.0001 and rates.max() <= 0.1 and dropped.min() >= 0 and dropped.max() <= 0.5
    for low in (0.0001, 0.001, 0.01):  # each decade is drawn equally often, and each half of the dropout rates
        assert 100 < ((rates >= low) & (rates < 10 * low)).sum() < 170
    assert 150 < (dropped < 0.25).sum() < 250
    assert {dict(setting)["batch_size"] for setting in drawn} == {"32", "64"}


def test_integers_of_a_range_are_drawn_equally_often(read):
    drawn = [
        dict(s)["batch_size"] for s in read("--batch_size=1..4", "--dropout_rate=0..1", "--samples=800").settings()
    ]
    assert all(160 < drawn.count(value) < 240 for value in "1234") and set(drawn) == set("1234")


def test_a_value_of_a_range_lies_within_its_ends():
    assert [Range(1, 9, False, True).text(value) for value in (1.0, 4.4, 9.0)] == ["1", "4", "9"]
    rate = Range(0.00012344, 0.1, True, False)
    assert rate.text(rate.quantile(0)) == "0.00012344" and float(rate.text(rate.quantile(1))) == 0.1


@pytest.mark.parametrize(
    "words, message",
    [
        (["--learning_rate", "0.1,many"], "--learning_rate=many: "),
        (["--model", "dense,resnet"], "--model: resnet is not possible; it must be one of"),
        (["--learning_rate", "0.001..0.1"], "--learning_rate: 0.001..0.1 is a range to draw from; say how many"),
        (["--learning_rate", "log:0..0.1", "--samples", "3"], "--learning_rate=log:0..0.1: a range to draw from is"),
        (["--optimizer", "adam..sgd", "--samples", "3"], "takes no numbers, so give it a list"),
        (["--seed", "0..4", "--samples", "3"], "--seed: 0..4 is a range to draw from; give seeds as a list"),
        (["--seed", "4-0"], "--seed=4-0: a range goes up"),
        (["--batch_size", "32,64", "--samples", "3"], "--samples: 3 are too many"),
        (
            ["--batch_size", "32,64", "--samples", "3", "--search", "optuna"],
            "--samples: 3 are more than the 2 settings",
        ),
        (["--batch_size", "32,64", "--search", "optuna"], "--samples: with --search optuna, it is required"),
        (["--seed", "0-1", "--search", "grid", "--samples", "3"], "--samples: with --search grid, it has no effect"),
        (["--seed", "0-1", "--jobs", "0"], "--jobs: 0 is not possible"),
        (["--batch_size", "64,0"], "--batch_size: 0 is not possible"),
        (["--dropout_rate", "0..1", "--samples", "2", "--search", "optuna"], "--dropout_rate: 1.0 is not possible"),
        (["--clean"], "--clean: is no flag of a sweep; delete its folder to start over"),
        (["--model_dir", "run"], "--model_dir: is no flag of a sweep"),
        (["--learning_rat", "1"], "--learning_rat: is no flag of a sweep"),
        (["--seed"], "--seed: has no value"),
        (["dense"], "dense: not expected here"),
        (["--seed", "0-1", "--sweep_dir", "full"], "--sweep_dir full: is not empty and holds no sweep.json"),
        (["--seed", "0-1", "--sweep_dir", "a_file"], "--sweep_dir a_file: is a file"),
    ],
)
def test_wrong_input_is_one_line_and_starts_nothing(cli, tmp_path, words, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    (tmp_path / "a_file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    done = cli("sweep", "--source", "sample", *words)
    assert done.returncode == 2 and done.stdout == "", done.stdout + done.stderr
    assert message in done.stderr and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_of_a_sweep_is_the_run_of_the_main_command(cli, grid, tmp_path):
    assert cli(*QUICK, "--learning_rate", "0.01", "--seed", "1", "--model_dir", "run").returncode == 0
    of_sweep = grid / "dense,learning_rate=0.01,seed=1"
    assert_equal_to_the_bit(checkpoint(tmp_path / "run"), checkpoint(of_sweep))
    assert Experiment.read(of_sweep) == Experiment.read(tmp_path / "run")
    assert sorted(path.name.split(".")[0] for path in of_sweep.iterdir()) == sorted(
        path.name.split(".")[0] for path in (tmp_path / "run").iterdir()
    )


def test_the_table_holds_the_figures_of_the_runs(grid):
    for row in lines(grid / "sweep.csv"):
        folders = [grid / f"dense,learning_rate={row['learning_rate']},seed={seed}" for seed in (0, 1)]
        finals = [json.loads((folder / "results.json").read_text())["final"] for folder in folders]
        expected = statistics.summary([final["test_accuracy"] for final in finals])
        assert (int(row["n"]), float(row["accuracy_mean"])) == (2, expected.mean)
        assert float(row["accuracy_std"]) == expected.std and float(row["accuracy_high"]) == expected.interval[1]
        kept = [predictions.read(folder) for folder in folders]
        mean = (kept[0].probabilities + kept[1].probabilities) / 2
        assert float(row["ensemble_accuracy"]) == (mean.argmax(axis=1) == kept[0].labels).mean() > 0.5
        printed = (grid / "printed.txt").read_text()
        assert f"{100 * expected.mean:.2f}%" in printed and f"{100 * expected.interval[0]:.2f}% to" in printed
    assert len(lines(grid / "sweep.csv")) == 2 and len(lines(grid / "runs.csv")) == 4
    assert {line["state"] for line in lines(grid / "runs.csv")} == {"finished"}
    assert (grid / "sweep.png").read_bytes()[:4] == b"\x89PNG"


def test_finished_runs_are_not_run_again_and_a_sweep_grows(grid, tmp_path):
    folder = Path(shutil.copytree(grid, tmp_path / "sweep"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/results.json")}
    again = sweep(folder, *GRID, "0-1")
    assert again.returncode == 0 and again.stdout.count("finished earlier") == 4
    assert (
        again.stdout.split("On the")[1]
        == (grid / "printed.txt").read_text().replace(str(grid), str(folder)).split("On the")[1]
    )
    for words, message in (
        ([*GRID, "0-2", "--dropout_rate", "0.1"], "its --dropout_rate is not given"),
        ([*QUICK, "--learning_rate", "0.01", "--seed", "0-1"], "its --learning_rate is 0.001,0.01"),
        ([*GRID, "1-2"], "its --seed is 0,1"),
        ([*GRID, "0-1", "--samples", "2"], "its --search is grid"),
    ):
        refused = sweep(folder, *words)
        assert refused.returncode == 2 and message in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
    more = sweep(folder, *GRID, "0-2")
    assert more.returncode == 0 and more.stdout.count("finished earlier") == 4, more.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [line["n"] for line in lines(folder / "sweep.csv")] == ["3", "3"]


def test_a_failed_run_is_named_and_ends_no_other_run(tmp_path):
    words = [*QUICK, "--learning_rate", "1e30,0.01"]
    done = sweep(tmp_path / "sweep", *words)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: dense,learning_rate=1e+30,seed=0: the t") and done.stderr.count("\n") == 1
    assert "loss is" in done.stderr and "try a lower --learning_rate" in done.stderr
    assert [line["learning_rate"] for line in lines(tmp_path / "sweep" / "sweep.csv")] == ["0.01"]
    assert [line["state"] for line in lines(tmp_path / "sweep" / "runs.csv")] == ["failed", "finished"]


def training_processes(folder: Path) -> List[int]:
    """Returns the process ids of the runs that are training, once two of them are past their first step."""
    wait_until(lambda: len(list(folder.glob("*/graph.pbtxt"))) == 2)
    return [int((path.parent / ".lock").read_text()) for path in folder.glob("*/graph.pbtxt")]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the state of processes from /proc")
def test_a_killed_or_stopped_sweep_leaves_no_orphan_and_resumes(tmp_path):
    folder, words = tmp_path / "sweep", [*SLOW, "--seed", "0-1", "--jobs", "2"]
    process = start(folder, *words)
    pids = training_processes(folder)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, pids)))  # they save, and end with the sweep
    assert all("Stopped by SIGTERM after step" in path.read_text() for path in (folder / "logs").iterdir())
    for path in folder.glob("*/graph.pbtxt"):
        path.unlink()  # a resumed run writes it again, which `training_processes` waits for

    process = start(folder, *words)
    pids = training_processes(folder)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143 and err == "" and "Stopped: 0 of 2 runs are finished" in out
    assert not any(map(is_running, pids))
    assert all("Stopped by SIGTERM after step" in path.read_text() for path in (folder / "logs").iterdir())

    done = sweep(folder, *words)
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    assert all("Resuming after step" in path.read_text() for path in (folder / "logs").iterdir())


def optuna(read, folder: Path, *words: str) -> OptunaSearch:
    """Returns a search whose runs never start: the tests tell it how they ended."""
    space = read("--model", "dense", "--learning_rate", "log:0.001..0.1", "--train_steps", "100", *words)
    folder.mkdir(exist_ok=True)

    def make_run(setting, seed):
        name = search_space.run_name(setting, seed)
        return Run(setting, seed, name, folder / name, (), Experiment(model="dense", train_steps=100))

    return OptunaSearch(space, folder, make_run)


def finish(search: OptunaSearch, run: Run, accuracy: float) -> None:
    """Tells a search that a run finished."""
    search.should_prune(run, {0: 0.1, 50: accuracy - 0.1, 100: accuracy})
    search.record_end(run, FINISHED, accuracy)


def test_optuna_prunes_poor_settings_and_resumes_after_a_kill(read, tmp_path):
    words = ["--search", "optuna", "--samples", "9"]
    folder = tmp_path / "a folder?named=50%41&"  # characters that mean something in the URL of a database
    search = optuna(read, folder, *words)
    assert (folder / STUDY).is_file()
    for number in range(5):
        finish(search, search.next_run(), 0.90 + number / 100)
    poor, good, killed = search.next_run(), search.next_run(), search.next_run()
    assert not search.should_prune(good, {0: 0.1, 50: 0.9}) and search.should_prune(poor, {0: 0.1, 50: 0.7})
    search.record_end(poor, PRUNED, 0.0)
    search.record_end(good, FAILED, 0.0)
    assert search.settled_runs == 7

    search = optuna(read, folder, *words)  # as after a kill -9: the end of `killed` was never recorded
    assert {run.setting for run in search.runs} >= {poor.setting} and search.settled_runs == 6
    again = [search.next_run(), search.next_run()]
    assert {run.name for run in again} == {good.name, killed.name}
    for run in again:
        finish(search, run, 0.95)
    new = search.next_run()
    assert new.name not in {run.name for run in search.runs[:-1]}
    finish(search, new, 0.95)
    assert search.next_run() is None and search.settled_runs == search.total_runs == 9


def test_optuna_judges_a_setting_by_all_its_seeds(read, tmp_path):
    search = optuna(read, tmp_path / "sweep", "--search", "optuna", "--samples", "2", "--seed", "3-5")
    runs = [search.next_run()]
    for accuracy in (0.90, 0.92, 0.97):
        run = runs[-1]
        finish(search, run, accuracy)
        runs.append(search.next_run())
    assert [run.seed for run in runs] == ["3", "4", "5", "3"] and len({run.setting for run in runs}) == 2
    search.record_end(runs[-1], STOPPED, 0.0)
    assert search._study.best_value == pytest.approx(0.93)


def test_a_poor_run_is_pruned_while_it_trains(read, tmp_path):
    # So many steps that a busy machine prunes the run before it ends.
    flags_of_run = ["--source", "sample", "--validation_size", "500", "--train_steps", "40000", "--evals", "100"]
    flags_of_run += ["--search", "optuna", "--samples"]
    folder = tmp_path / "sweep"
    space = read("--model", "dense", "--learning_rate", "log:0.001..0.1", *flags_of_run, "5")
    folder.mkdir()
    space.write(folder)
    # Five runs with perfect accuracy from the first step: no real run keeps up with them.
    search = optuna(read, folder, "--search", "optuna", "--samples", "5")
    for _ in range(5):
        run = search.next_run()
        total_steps = run.experiment.total_steps
        search.should_prune(run, {-(-total_steps * percent // 100): 1.0 for percent in range(1, 101)})
        search.record_end(run, FINISHED, 1.0)
    done = sweep(folder, "--model", "dense", "--learning_rate", "log:0.001..0.1", *flags_of_run, "6")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "pruned: other settings are ahead of it" in done.stdout
    (log,) = (folder / "logs").iterdir()
    assert "Stopped by SIGTERM after step" in log.read_text()
    (line,) = lines(folder / "runs.csv")
    assert line["state"] == "pruned" and not (folder / line["run"] / "results.json").exists()


def test_there_is_no_ensemble_if_a_member_is_missing_or_has_other_labels(tmp_path):
    def leave(name: str, labels: np.ndarray) -> Path:
        (tmp_path / name).mkdir()
        probabilities = np.eye(10, dtype=np.float32)[labels]
        predictions.write(predictions.Predictions(labels, probabilities), tmp_path / name)
        return tmp_path / name

    one, same = leave("one", np.arange(10)), leave("same", np.arange(10))
    assert table.ensemble_accuracy([one, same]) == 1
    for others in ([one], [one, leave("other", np.arange(10)[::-1])], [one, tmp_path / "none"]):
        assert np.isnan(table.ensemble_accuracy(others))
    (same / "predictions.npz").write_bytes((same / "predictions.npz").read_bytes()[:100])
    assert predictions.read(same) is None


def test_a_corrupt_study_is_one_line(tmp_path):
    folder = tmp_path / "sweep"
    folder.mkdir()
    words = [*QUICK, "--learning_rate", "0.001..0.01", "--search", "optuna", "--samples", "1"]
    (folder / "sweep.json").write_text("{}")
    done = sweep(folder, *words)
    assert done.returncode == 2 and "sweep.json: holds no sweep" in done.stderr and done.stderr.count("\n") == 1
    (folder / "sweep.json").unlink()
    assert STUDY == "study.db"
    with flagsaver.flagsaver():
        value_lists.read(words).write(folder)
    flags.FLAGS.unparse_flags()
    (folder / "study.db").write_bytes(b"no database" * 100)
    done = sweep(folder, *words)
    assert done.returncode == 2 and "study.db: cannot be used" in done.stderr and done.stderr.count("\n") == 1


def test_too_many_settings_are_refused(read):
    with pytest.raises(InputError, match="runs, more than"):
        read("--seed", "0-9999", "--batch_size", "1-11").settings()
