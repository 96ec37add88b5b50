"""deploy/: manifests that the API server accepts, flags that exist, and an image that is complete and obeys SIGTERM."""

import copy
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import jsonschema
import pytest
import yaml
from support import DATA_DIR, PATIENCE, ROOT, RUN, wait_for

from estimator_mnist.config import flags
from estimator_mnist.model_dir import checkpoints

SCHEMA = json.loads((Path(__file__).with_name("schemas") / "tfjob.json").read_text())
KINDS = {"TFJob": "KubeflowOrgV1TFJob", "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim"}
JOBS = ("tfjob.yaml", "tfjob-ps.yaml")


class Strict(yaml.SafeLoader):
    """Reads like the API server: a duplicate key is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"duplicate key: {keys}"
        return super().construct_mapping(node, deep)


def load(name: str) -> Any:
    (document,) = yaml.load_all((ROOT / "deploy" / name).read_text(), Strict)
    return document


def faults_of(document: Any) -> List[str]:
    schema = {"$ref": f"#/$defs/{KINDS[document['kind']]}", "$defs": SCHEMA["$defs"]}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


def replicas(job: Any) -> Dict[str, Any]:
    return job["spec"]["tfReplicaSpecs"]


def container(replica: Any) -> Any:
    (only,) = replica["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("name", [*JOBS, "volume.yaml"])
def test_a_manifest_matches_its_schema(name):
    assert faults_of(load(name)) == []


def test_every_manifest_is_tested():
    assert {path.name for path in (ROOT / "deploy").glob("*.y*ml")} == {*JOBS, "volume.yaml"}


def chief_of(job: Any) -> Any:
    return replicas(job)["Chief"]


def pod_of(job: Any) -> Any:
    return chief_of(job)["template"]["spec"]


WRONG: List[Tuple[Callable[[Any], Any], str, Any]] = [
    (lambda job: job, "apiVersion", "kubeflow.org/v2"),
    (lambda job: job["spec"], "backoffLimit", 3),
    (lambda job: job["spec"], "tfReplicaSpecs", []),
    (lambda job: job["spec"]["runPolicy"], "cleanPodPolicies", "None"),
    (lambda job: job["spec"]["runPolicy"], "backoffLimit", "30"),
    (chief_of, "replicas", 1.5),
    (chief_of, "restartpolicy", "OnFailure"),
    (pod_of, "terminationGracePeriod", 120),
    (pod_of, "terminationGracePeriodSeconds", "120"),
    (pod_of, "containers", None),
    (lambda job: container(chief_of(job)), "arguments", ["--model=conv"]),
    (lambda job: container(chief_of(job)), "env", [{"name": "A", "value": 1}]),
    (lambda job: container(chief_of(job))["resources"]["limits"], "memory", "4GB"),
    (lambda job: container(chief_of(job))["securityContext"]["capabilities"], "drops", ["ALL"]),
]


@pytest.mark.parametrize("place, key, value", WRONG, ids=[f"{key}={value}" for _, key, value in WRONG])
def test_a_wrong_field_is_refused(place, key, value):
    job = copy.deepcopy(load("tfjob.yaml"))
    place(job)[key] = value
    assert any(key in fault for fault in faults_of(job)), faults_of(job)


def test_a_missing_field_is_refused():
    for place, key in ((lambda job: job, "spec"), (lambda job: job["spec"], "tfReplicaSpecs"), (pod_of, "containers")):
        job = copy.deepcopy(load("tfjob.yaml"))
        del place(job)[key]
        assert any(f"'{key}' is a required property" in fault for fault in faults_of(job))


# What the schema does not check (there it allows any string), and what the project needs from the operator.


@pytest.mark.parametrize("name", JOBS)
def test_the_tasks_match_the_strategy(name):
    job = load(name)
    strategy = given(container(chief_of(job))["args"])["strategy"]
    kinds = {"Chief", "Worker", "Evaluator"} | ({"PS"} if strategy == "parameter_server" else set())
    assert set(replicas(job)) == kinds
    assert replicas(job)["Chief"]["replicas"] == replicas(job)["Evaluator"]["replicas"] == 1
    first = chief_of(job)["template"]
    for replica in replicas(job).values():
        assert replica["template"] == first, "every task runs the same command"
        assert container(replica)["name"] == "tensorflow", "the operator sets TF_CONFIG only there"
        assert [port["name"] for port in container(replica)["ports"]] == ["tfjob-port"], (
            "the operator puts this port into TF_CONFIG"
        )


@pytest.mark.parametrize("name", JOBS)
def test_failed_tasks_are_restarted_and_no_success_kills_the_evaluator(name):
    job = load(name)
    policy = job["spec"]["runPolicy"]
    assert policy["cleanPodPolicy"] == "None" and policy["backoffLimit"] > 0
    tasks = sum(replica["replicas"] for replica in replicas(job).values())
    assert policy["backoffLimit"] >= 5 * tasks, "all of them may be restarted that many times"
    for replica in replicas(job).values():
        assert replica["restartPolicy"] == "OnFailure"
        assert replica["template"]["spec"]["terminationGracePeriodSeconds"] >= 60


@pytest.mark.parametrize("name", JOBS)
def test_all_tasks_write_to_one_volume_as_a_user_who_is_not_root(name):
    claim, job = load("volume.yaml"), load(name)
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    pod = pod_of(job)
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = container(chief_of(job))["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert Path(mount["mountPath"]) in Path(given(container(chief_of(job))["args"])["model_dir"]).parents
    (user,) = instructions("USER")
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user
    assert pod["securityContext"]["runAsNonRoot"] is True


def given(words: List[str]) -> Dict[str, str]:
    """Returns the flags of a task's words, all of the form --name=value, by name."""
    return dict(re.fullmatch(r"--(\w+)=(.+)", word).groups() for word in words)


@pytest.mark.parametrize("name", JOBS)
def test_the_flags_exist_on_the_command_line(name):
    for flag, value in given(container(chief_of(load(name)))["args"]).items():
        assert flag in flags.FLAGS, flag
        assert flags.FLAGS[flag].parser.parse(value) is not None


# The image, as far as it can be tested without a container engine: what is copied, installed and started.


def instructions(*wanted: str) -> List[str]:
    """Returns the arguments of the Dockerfile's instructions of some kinds, in order, lines joined."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    parts = [line.strip().split(None, 1) for line in lines if line.strip()]
    return [argument for name, argument in parts if name in wanted]


def arguments() -> Dict[str, str]:
    return dict(argument.split("=", 1) for argument in instructions("ARG"))


def copies() -> Iterator[Tuple[str, str]]:
    """Yields the sources and destinations of the Dockerfile's COPYs, for each lock that may be chosen."""
    for argument in instructions("COPY"):
        *sources, destination = argument.split()
        for source in sources:
            for lock in ("requirements.lock", "requirements-gpu.lock") if source == "${LOCK}" else ("",):
                yield source.replace("${LOCK}", lock), destination


def is_ignored(path: str) -> bool:
    """Tells whether .dockerignore keeps a path of the root from the image: the last pattern that matches decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        if line and not line.startswith("#") and fnmatch.fnmatch(path, pattern):
            ignored = not line.startswith("!")
    return ignored


def test_the_image_copies_what_exists_and_ignores_everything_else():
    copied = {source for source, _ in copies()}
    for path in ROOT.iterdir():
        assert is_ignored(path.name) != (path.name in copied), path
    for source in copied:
        assert (ROOT / source).exists(), source
    assert is_ignored("estimator_mnist/__pycache__")


def test_the_image_installs_as_run_sh_does():
    script = (ROOT / "run.sh").read_text()
    (pip,) = re.findall(r'"\$venv/bin/python" -I (-m pip install .*) -r "\$@"', script)
    (calls,) = re.findall(r"  (install .*) \|\|\n", script)
    assert calls == 'install "$root/requirements-build.lock" && install "$lock" --no-build-isolation'
    installs = [
        " ".join(command.split())
        for argument in instructions("RUN")
        for command in argument.split("&&")
        if "install -d" not in command and "install" in command
    ]
    expected = f"/venv/bin/python {pip.replace('install ', 'install --no-cache-dir ')} -r"
    assert installs == [f"{expected} /app/requirements-build.lock", f'{expected} "/app/${{LOCK}}" --no-build-isolation']
    assert arguments()["LOCK"] == "requirements.lock"


def test_the_python_of_the_image_is_supported_by_tensorflow():
    (base,) = instructions("FROM")
    assert base == "${BASE}"
    version = re.match(r"python:(\d+)\.(\d+)-slim", arguments()["BASE"])
    assert version and (3, 9) <= tuple(map(int, version.groups())) <= (3, 11)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The files of the project that the image has, and no others, in the folder app."""
    for source, destination in copies():
        target = tmp_path / destination.strip("/")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target)
    (tmp_path / "work").mkdir()
    return tmp_path


def environment(image: Path, **values: str) -> Dict[str, str]:
    """Returns the environment of a process in the image: the Dockerfile's ENV, its folders below `image`."""
    text = " ".join(instructions("ENV"))
    set_there = {name: value for name, value in (word.split("=", 1) for word in text.split()) if name != "PATH"}
    assert set_there.pop("PYTHONPATH") == "/app"
    return {**os.environ, **set_there, "PYTHONPATH": str(image / "app"), **values}


def entrypoint(image: Path) -> List[str]:
    (argument,) = instructions("ENTRYPOINT")
    words = json.loads(argument)  # the exec form: in the other one a shell would be process 1, and get the signals
    assert words[0] == "python"
    return [sys.executable, *(word.replace("/app/", f"{image}/app/") for word in words[1:])]


def test_the_data_of_the_image_is_decoded_where_a_run_looks_for_it(image, mnist):
    # Like the build, but without the download: the prepared data is copied to where it would be downloaded.
    prepared = image / "data" / "mnist" / "3.0.1"
    prepared.mkdir(parents=True)
    for path in (DATA_DIR / "mnist" / prepared.name).iterdir():
        if path.is_file():
            shutil.copyfile(path, prepared / path.name)
    env = environment(image, TFDS_DATA_DIR=str(image / "data"), HOME=str(image / "nowhere"))
    (making,) = [argument for argument in instructions("RUN") if "input_fns" in argument]
    words = shlex.split(making.partition("&&")[0].replace("${DATASET}", arguments()["DATASET"]))
    assert words[:2] == ["python", "-c"]
    done = subprocess.run([sys.executable, *words[1:]], cwd=image / "work", env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (prepared / "estimator_mnist_cache_2" / "facts.json").is_file()
    assert not (image / "nowhere" / ".cache" / "estimator_mnist").exists()


def test_process_1_of_the_image_saves_at_sigterm(image):
    """In a process namespace, as in a container, process 1 ignores a signal that it has no handler for."""
    alone = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not shutil.which(alone[0]) or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs process namespaces (unshare)")
    words = [*entrypoint(image), *RUN, "--train_steps", "100000", "--evals", "100", "--model_dir", "run"]
    process = subprocess.Popen(
        [*alone, *words],
        cwd=image / "work",
        env=environment(image),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(process, image / "work" / "run", "model.ckpt-1000.index")
    (python,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert Path(f"/proc/{python}/status").read_text().split("NSpid:")[1].split()[1] == "1"
    os.kill(int(python), signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143 and err == "" and "which is saved; rerun the same command to resume" in out
    assert checkpoints.steps(image / "work" / "run")[0] > 0
