"""Local and remote paths, and files that are replaced atomically."""

import errno
from pathlib import Path

import pytest
import tensorflow as tf

from estimator_mnist.system import paths
from estimator_mnist.system.remote_path import RemotePath, message_of
from input_fns import InputError


@pytest.fixture
def remote() -> Path:
    """An empty folder of TensorFlow's file system in memory."""
    folder = paths.path_of("ram://paths/folder")
    paths.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def test_a_scheme_makes_a_path_remote(tmp_path):
    assert paths.path_of("runs/a") == Path("runs/a") and not paths.is_remote(tmp_path)
    assert paths.path_of("~/a") == Path.home() / "a"
    assert paths.is_remote(paths.path_of("ram://bucket/a"))
    with pytest.raises(InputError, match=r"^--against nope://a: TensorFlow has no file system for nope://"):
        paths.path_of("nope://a", "--against")


def test_a_remote_path_behaves_like_a_local_one(remote):
    (remote / "a" / "b").mkdir(parents=True)
    (remote / "a" / "b" / "c[1].txt").write_text("é")
    assert (remote / "a" / "b" / "c[1].txt").read_text() == "é"
    assert [str(path) for path in remote.glob("a/*/c*.txt")] == ["ram://paths/folder/a/b/c[1].txt"]
    assert [path.name for path in remote.rglob("*.txt")] == ["c[1].txt"]
    assert (remote / "a").is_dir() and not (remote / "a").is_file() and not (remote / "x").exists()
    assert (remote / "a").parent == remote and (remote / "a").with_name("d") == remote / "d"
    with pytest.raises(FileNotFoundError):
        (remote / "x").read_bytes()
    (remote / "x").unlink(missing_ok=True)
    paths.rmtree(remote / "a")
    assert not (remote / "a").exists()
    paths.rmtree(remote / "a", ignore_errors=True)


def test_a_tree_is_copied_with_its_last_file_last(tmp_path, remote, monkeypatch):
    for name in ("z/last.pb", "a.txt", "z/y.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    written, write = [], RemotePath.write_bytes

    def record(path: RemotePath, content: bytes) -> None:
        written.append(path.name)
        write(path, content)

    monkeypatch.setattr(RemotePath, "write_bytes", record)
    paths.copy_tree(tmp_path, remote / "copy", last="last.pb")
    assert written[-1] == "last.pb" and (remote / "copy" / "z" / "last.pb").read_text() == "z/last.pb"
    assert len(list((remote / "copy").rglob("*.*"))) == 3


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_file_is_replaced_without_leaving_another(tmp_path, remote, where):
    folder = tmp_path if where == "local" else remote
    for content in ("old", b"new"):
        paths.replace_file(folder / "file.json", content)
    assert (folder / "file.json").read_bytes() == b"new"
    assert [path.name for path in folder.iterdir()] == ["file.json"]


def test_a_failed_replacement_keeps_the_old_file(tmp_path):
    paths.replace_file(tmp_path / "file.json", "old")
    with pytest.raises(UnicodeEncodeError):
        paths.replace_file(tmp_path / "file.json", "\ud800")
    assert (tmp_path / "file.json").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_the_message_of_a_store_is_one_line():
    answer = 'Error executing request\n{"error": {"code": 403, "message": "No \\"read\\" access."}}'
    assert message_of(tf.errors.PermissionDeniedError(None, None, answer)) == 'No \\"read\\" access.'
    assert message_of(OSError(errno.EACCES, "Permission denied", "/a")) == "/a: Permission denied"
