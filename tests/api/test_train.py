"""Runs from Python: equal to the command's, several in a process, in threads, interrupted."""

import importlib
import json
import subprocess
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from support import RUN, assert_equal_to_the_bit, checkpoint, command_line

import estimator_mnist as em
from benchmarks import faults

# As the flags RUN of the fixture `run`.
SAME = 'em.train("dense", "sample", model_dir="run", train_steps=400, evals=4, dropout_rate=0.3, verbose=False)'


def test_a_run_in_python_equals_the_commands_and_prints_nothing(program, run, tmp_path):
    source = f"""
        import estimator_mnist as em
        run = {SAME}
        run.evaluate(), run.predict(em.data("sample").test.arrays()[0][:3]), run.export("tflite"), run.history
        """
    done = program(source)
    assert done.stdout == "" and done.stderr == ""
    ours = tmp_path / "run"
    assert_equal_to_the_bit(checkpoint(run), checkpoint(ours))
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (run, ours))
    assert {key: first[key] for key in faults.COMPARED} == {key: second[key] for key in faults.COMPARED}
    assert json.loads((run / "experiment.json").read_text()) == json.loads((ours / "experiment.json").read_text())


def test_a_terminal_sees_what_the_command_prints(program, cli):
    words = ["--source", "sample", "--model", "dense", "--train_steps", "20", "--evals", "1", "--model_dir", "command"]
    printed = cli(*words).stdout
    ours = program(
        'import estimator_mnist as em; em.train("dense", "sample", model_dir="python", train_steps=20, evals=1)'
    )
    assert ours.stderr == ""
    without_times = [line for line in ours.stdout.splitlines() if "images/s" not in line]
    assert len(without_times) > 15 and set(without_times) <= set(printed.splitlines())


def test_several_runs_of_several_shapes_in_one_process(program):
    source = """
        import json
        import numpy as np
        import estimator_mnist as em
        from estimator_mnist.layers import Conv2D, Dense, GlobalAveragePool, relu

        WIDTHS = (4, 8)

        def tiny(experiment):
            convolutions = [Conv2D(f"conv{width}", width, 3, relu, strides=2) for width in WIDTHS]
            return [*convolutions, GlobalAveragePool("pool"), Dense("logits", experiment.classes)]

        labels = np.arange(120) % 3
        colours = np.full((120, 9, 12, 3), 20, np.uint8) + (100 * labels[:, None, None, None]).astype(np.uint8)
        for _ in range(2):  # the second time in folders that are deleted
            runs = [
                em.train("dense", "sample", model_dir="dense", train_steps=60, evals=1, verbose=False, clean=True),
                em.train(tiny, (colours, labels), model_dir="tiny", train_steps=60, evals=2, learning_rate=0.03,
                         verbose=False, clean=True),
                em.train("lenet5", "sample", model_dir="lenet5", train_steps=10, evals=1, verbose=False, clean=True),
            ]
            print(json.dumps([[run.results["final"], run.history["step"].tolist()[-1]] for run in runs]))
        assert runs[1].evaluate((colours, labels)).figures["accuracy"] > 0.6
        assert runs[1].predict(colours[:3]).logits.shape == (3, 3)
        """
    first, second = map(json.loads, program(source).stdout.splitlines())
    assert first == second and [steps for _, steps in first] == [60, 60, 10]
    assert first[0][0]["test_accuracy"] > 0.8


def test_a_network_of_a_program_lives_on_in_its_model_dir(program, cli, tmp_path):
    source = """
        import estimator_mnist as em
        from estimator_mnist.layers import Dense, Flatten, relu

        UNITS = 16

        def small(experiment):
            return [Flatten("flat"), Dense("hidden", UNITS, relu), Dense("logits", experiment.classes)]

        def lion():
            pass

        if __name__ == "__main__":
            print(em.train(small, "sample", train_steps=30, evals=1, verbose=False).model_dir)
        """
    assert program(source).stdout.split() == ["runs/mnist-small-small"]
    (tmp_path / "program.py").unlink()
    evaluated = cli("evaluate", "--model_dir", "runs/mnist-small-small", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["global_step"] == 30
    resumed = cli("--model_dir", "runs/mnist-small-small", "--model", "small.py:small", "--source", "sample",
                  "--train_steps", "30", "--evals", "1")  # fmt: skip
    assert resumed.returncode == 0 and "this experiment is finished" in resumed.stdout, resumed.stderr


def test_runs_in_threads_take_turns(program):
    source = """
        import json, signal, threading
        import estimator_mnist as em

        runs, handlers = {}, [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        def train(name):
            runs[name] = em.train("dense", "sample", model_dir=name, train_steps=100, evals=2, verbose=False)
        threads = [threading.Thread(target=train, args=(name,)) for name in ("a", "b", "c")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        print(json.dumps([runs[name].results["final"] for name in "abc"]))
        """
    first, second, third = json.loads(program(source).stdout)
    assert first == second == third


def test_other_threads_within_ops_are_said_once_and_only_where_it_is_wanted(program):
    source = """
        import sys
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(3)
        tf.constant(1) + 1  # makes the pool
        import estimator_mnist as em
        em.train("dense", "sample", model_dir="run", train_steps=2, evals=1, verbose=sys.argv[1] == "verbose")
        """
    said = program(source, "verbose", TF_CPP_MIN_LOG_LEVEL="3").stdout
    assert said.count("TensorFlow runs with 3 threads within an op") == 1
    quiet = program(source.replace('"run"', '"other"'), "silent", TF_CPP_MIN_LOG_LEVEL="3")
    assert quiet.stdout == ""


INTERRUPTED = """
    import os, signal, sys, threading, time
    from pathlib import Path
    import estimator_mnist as em

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)  # as an event loop's
    handler = lambda signum, frame: None
    signal.signal(signal.SIGINT, handler)

    def interrupt():
        while not Path("run/model.ckpt-100.index").exists():
            time.sleep(0.005)
        for _ in range(int(sys.argv[1])):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    threading.Thread(target=interrupt, daemon=True).start()
    settings = dict(model_dir="run", train_steps=20_000, evals=200, verbose=False)
    try:
        em.train("dense", "sample", **settings)
    except KeyboardInterrupt as error:
        print(error)
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.set_wakeup_fd(-1) == writer
    print(em.open("run"))
    """


def test_an_interrupt_saves_the_step_and_puts_the_handlers_back(program, tmp_path):
    stopped, shown = program(INTERRUPTED, 1).stdout.splitlines()
    assert stopped.startswith("stopped after step ") and "not finished" in shown
    step = int(stopped.split()[3].replace(",", ""))
    history = em.open(tmp_path / "run").history
    assert checkpoint(tmp_path / "run")["global_step"] == step >= history["step"][-1] >= 100
    assert np.isnan(history["train_loss"][0]) and np.isfinite(history["train_loss"][1:-1]).all()


def test_two_interrupts_do_not_end_the_process(program):
    assert program(INTERRUPTED, 5).stdout.splitlines()[-1].endswith("not finished)")


def test_an_interrupted_run_resumes_to_the_same_end(program, run, tmp_path):
    source = f"""
        import os, signal, threading, time
        from pathlib import Path
        import estimator_mnist as em

        def interrupt():
            while not Path("run/model.ckpt-100.index").exists():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        try:
            {SAME}
        except KeyboardInterrupt:
            print("interrupted")
        {SAME}
        """
    assert program(source).stdout in ("interrupted\n", "")
    assert_equal_to_the_bit(checkpoint(run), checkpoint(tmp_path / "run"))


def train(model_dir: Path, **settings: object) -> em.Run:
    given = {"model": "dense", "data": "sample", "model_dir": model_dir, "verbose": False, **settings}
    return em.train(**given)


def test_a_finished_run_is_opened(run, capfd):
    opened = em.train("dense", "sample", model_dir=run, train_steps=400, evals=4, dropout_rate=0.3)
    assert "this experiment is finished (clean=True starts it over)" in capfd.readouterr().out
    assert opened.results["global_step"] == 400


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"train_steps": 1.5}, "train_steps is 1.5; it must be a whole number"),
        ({"learning_rate": "high"}, 'learning_rate is "high"; it must be a number'),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"seed": object()}, "seed: is of type object; it must be a number, a text"),
        ({"units": 3}, "units: there is no such setting"),
        ({"train_examples": 3}, "train_examples: describes the data"),
        ({"model": "transformer"}, "model: transformer is not possible"),
        ({"model": lambda experiment: []}, "model: is a lambda"),
        ({"model": "nowhere.py:net"}, "nowhere.py: cannot be read"),
        ({"recipe": "paper"}, "--recipe paper: is one for --model lenet5"),
        ({"data": 3}, "data: is of type int"),
        ({"data": "sample", "strategy": "multi_worker"}, "TF_CONFIG is not set"),
        ({"train_steps": 5, "train_epochs": 1}, "give one of the two"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_nothing(tmp_path, settings, named):
    with pytest.raises(em.InputError, match=named):
        train(tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_another_experiment_in_the_model_dir_is_refused(run):
    with pytest.raises(em.InputError, match="holds another experiment: --train_steps is 7, not 400"):
        train(run, train_steps=7, evals=4, dropout_rate=0.3)


def test_a_model_dir_in_use_is_refused(half, cli):
    holder = subprocess.Popen(["flock", str(half / ".lock"), "sleep", "60"])
    try:
        while not _is_locked(half / ".lock"):
            threading.Event().wait(0.02)
        with pytest.raises(em.InputError, match="is in use by process"):
            train(half, train_steps=400, evals=4, dropout_rate=0.3)
    finally:
        holder.kill()
        holder.wait()


def _is_locked(path: Path) -> bool:
    import fcntl

    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_settings_of_numpy_and_paths_are_taken(tmp_path):
    run = train(tmp_path / "run", train_steps=np.int64(2), learning_rate=np.float32(0.5), evals=1)
    assert type(run.experiment.train_steps) is int and run.experiment.learning_rate == 0.5
    assert command_line(tmp_path, "evaluate", "--model_dir", "run").returncode == 0
    assert RUN  # the flags that SAME repeats


def test_a_function_of_a_file_is_that_file_as_it_is_on_disk(tmp_path, monkeypatch):
    source = """
        from estimator_mnist.layers import Dense, Flatten, relu


        def net(experiment):
            return [Flatten("flat"), Dense("hidden", 8, relu), Dense("logits", experiment.classes)]
        """
    path = tmp_path / "my_networks_of_a_test.py"
    path.write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path))
    net = importlib.import_module(path.stem).net
    run = train(tmp_path / "run", model=net, train_steps=2, evals=1)
    assert run.experiment.model == f"{path.name}:net"
    assert (tmp_path / "run" / "user_code" / path.name).read_bytes() == path.read_bytes()
    path.write_text(path.read_text().replace("8, relu", "9, relu"))
    with pytest.raises(em.InputError, match="was edited"):
        train(tmp_path / "run", model=net, train_steps=2, evals=1)
