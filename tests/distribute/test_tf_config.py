"""TF_CONFIG: the task that a process reads from it, and the message for a wrong one."""

import json
import os
import socket
from pathlib import Path

import pytest
from support import PATIENCE, launch

from estimator_mnist.distribute import tf_config
from input_fns import InputError

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def config(type: str, index: object = 0, cluster: object = CLUSTER) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": type, "index": index}})


@pytest.mark.parametrize(
    "type, index, number, chief, peers",
    [
        ("chief", 0, 0, True, ["worker/0", "worker/1", "ps/0"]),
        ("worker", 1, 2, False, ["chief/0", "worker/0", "ps/0"]),
        ("ps", 0, None, False, ["chief/0"]),
        ("evaluator", 0, None, False, ["chief/0"]),
    ],
)
def test_each_task_reads_its_place_and_its_peers(monkeypatch, type, index, number, chief, peers):
    monkeypatch.setenv("TF_CONFIG", config(type, index))
    task = tf_config.read("parameter_server")
    assert (task.name, task.is_chief, task.trains) == (f"{type}/{index}", chief, number is not None)
    assert [peer.name for peer in task.peers] == peers
    assert number is None or task.number == number
    given = json.loads(task.for_tensorflow())
    assert given["task"] == {"type": type, "index": index}
    assert given["cluster"] == ({"chief": ["a:1"]} if type == "evaluator" else CLUSTER)


def test_without_a_chief_the_first_worker_is_the_chief(monkeypatch):
    cluster = {"worker": ["a:1", "b:1"]}
    tasks = []
    for index in range(2):
        monkeypatch.setenv("TF_CONFIG", config("worker", str(index), cluster))
        tasks.append(tf_config.read("multi_worker"))
    assert [task.is_chief for task in tasks] == [True, False]
    assert [task.number for task in tasks] == [0, 1]
    assert tasks[1].peers == [tf_config.Peer("worker/0", "a:1")]


def test_a_tf_config_without_a_cluster_gives_no_task(monkeypatch):
    for text in ("", "{}", json.dumps({"task": {"type": "worker", "index": 0}})):
        monkeypatch.setenv("TF_CONFIG", text)
        assert tf_config.read("none") is None and tf_config.read("mirrored") is None


@pytest.mark.parametrize(
    "strategy, text, message",
    [
        ("multi_worker", "", "--strategy multi_worker: TF_CONFIG is not set"),
        ("multi_worker", "worker/0", "TF_CONFIG: is not JSON"),
        ("multi_worker", "[1]", "TF_CONFIG: is [1]"),
        ("multi_worker", "{}", 'lacks "cluster" or "task"'),
        ("multi_worker", config("worker", 2), "which its cluster does not have"),
        ("multi_worker", config("worker", -1), "which its cluster does not have"),
        ("multi_worker", config("boss"), "which its cluster does not have"),
        ("multi_worker", config("evaluator", 1), "which its cluster does not have"),
        ("multi_worker", config("worker", 0, {"worker": ["a:1", "a:1"]}), "twice"),
        ("multi_worker", config("worker", 0, {"worker": "a:1"}), 'a list of "host:port"'),
        ("multi_worker", config("worker", 0, {"worker": ["a"]}), 'a list of "host:port"'),
        ("multi_worker", config("worker", 0, {"worker": ["a:99999"]}), 'a list of "host:port"'),
        ("multi_worker", config("worker", 0, {"slave": ["a:1"]}), 'the cluster has "slave"'),
        ("multi_worker", config("chief", 0, {"chief": ["a:1", "b:1"]}), "2 chiefs"),
        ("multi_worker", config("ps", 0, {"ps": ["a:1"]}), "no task of the cluster trains"),
        ("multi_worker", config("ps", 0), "has no use for a ps"),
        ("parameter_server", config("worker", 0, {"worker": ["a:1"]}), "needs a chief and at least one ps"),
        ("none", config("chief"), "describes a cluster, and --strategy none has none"),
    ],
)
def test_a_wrong_tf_config_is_one_line_that_says_what_is_wrong(monkeypatch, strategy, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError) as raised:
        tf_config.read(strategy)
    assert message in str(raised.value) and "\n" not in str(raised.value)


RUN = ["--source", "sample", "--model", "dense", "--train_steps", "20", "--model_dir", "run"]


def test_a_wrong_tf_config_ends_the_command_before_anything_is_written(cli, tmp_path):
    done = cli(*RUN, "--strategy", "multi_worker", TF_CONFIG="{")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "TF_CONFIG" in done.stderr
    assert not (tmp_path / "run").exists()


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("type, index, missing", [("worker", 0, "worker/1"), ("worker", 1, "worker/0")])
def test_a_task_that_does_not_start_is_named_within_the_timeout(tmp_path: Path, monkeypatch, type, index, missing):
    cluster = {"worker": [free_address(), free_address()]}
    monkeypatch.setenv("TF_CONFIG", config(type, index, cluster))
    process = launch(tmp_path, *RUN, "--strategy", "multi_worker", "--cluster_timeout", "3")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, errors
    address = cluster["worker"][1 - index]
    assert errors.startswith(f"error: {missing} at {address} of TF_CONFIG did not answer within 3 s")
    assert errors.count("\n") == 1


def test_a_tf_config_that_describes_no_cluster_is_ignored(cli, tmp_path):
    for number, text in enumerate(("", '{"task": {"type": "worker", "index": 3}, "model_dir": "elsewhere"}')):
        done = cli(*RUN, "--model_dir", f"run-{number}", TF_CONFIG=text)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_commands_other_than_training_ignore_tf_config(cli, run):
    done = cli("evaluate", "--model_dir", run, "--json", TF_CONFIG=config("worker", 1))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["global_step"] == 400
    assert "TF_CONFIG" not in os.environ
