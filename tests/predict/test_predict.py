"""bash run.sh predict: answers to real digits in every form, and to every kind of bad file and flag."""

import array
import fcntl
import json
import os
import shutil
import signal
import subprocess
import termios
import unicodedata
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest
from PIL import Image
from support import PATIENCE, wait_until

from estimator_mnist.predict import answer_table, command, fonts
from estimator_mnist.predict.answer import Answer
from estimator_mnist.predict.contact_sheet import ContactSheets
from estimator_mnist.system.interpreter import module_command

NAMES = [str(digit) for digit in range(10)]


@pytest.fixture
def digits(sample, tmp_path: Path) -> Path:
    """A folder of 30 test images as <number>_<label>.png, and one file that is not an image."""
    images, labels = sample.test.arrays()
    folder = tmp_path / "digits"
    folder.mkdir()
    for number in range(30):
        picture = Image.fromarray(255 - images[number, ..., 0]).resize((150, 150), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:02d}_{labels[number]}.png")
    (folder / "10_broken.png").write_bytes((folder / "00_0.png").read_bytes()[:500])
    return folder


def test_a_folder_as_a_table_and_as_json(cli, run, digits, tmp_path):
    table = cli("predict", "--model_dir", run, "digits", "--contact_sheet", "sheet.png")
    assert table.returncode == 1
    assert table.stderr == "error: 1 of 31 files have no answer: their lines say why\n"
    header, rule, *rows = table.stdout.splitlines()
    assert header.split() == ["file", "class", "probability", "runner-up"] and set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == [f"digits/{name}" for name in sorted(os.listdir(digits))]
    right = [row.split()[1] == row.split()[0][-5] for row in rows if "error:" not in row]
    assert len(right) == 30 and np.mean(right) > 0.8
    assert "digits/10_broken.png  error: is damaged" in table.stdout
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG" and sheet.width > 400 and len(sheet.getcolors(1 << 16)) > 20
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []

    answers = json.loads(cli("predict", "--model_dir", run, "--json", "digits").stdout)
    assert [answer["file"] for answer in answers] == [row.split()[0] for row in rows]
    for answer, row in zip(answers, rows):
        assert list(answer) == ["file", "class", "label", "probability", "probabilities", "error"]
        if answer["error"]:
            assert answer["class"] is answer["label"] is answer["probability"] is answer["probabilities"] is None
        else:
            assert answer["label"] == str(answer["class"]) == row.split()[1]
            assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-5)
            assert max(answer["probabilities"]) == answer["probabilities"][answer["class"]] == answer["probability"]


def test_the_exported_model_is_preferred_to_the_checkpoint(cli, run, digits, tmp_path):
    for name, without in (("exported", "model.ckpt-*"), ("saved", "export"), ("damaged", "nothing")):
        shutil.copytree(run, tmp_path / name)
        for path in (tmp_path / name).glob(without):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    exported, saved = (cli("predict", "--model_dir", name, "--json", "digits") for name in ("exported", "saved"))
    for first, second in zip(json.loads(exported.stdout), json.loads(saved.stdout)):
        assert first["class"] == second["class"] and first["error"] == second["error"]
        if not first["error"]:
            assert second["probabilities"] == pytest.approx(first["probabilities"], abs=1e-5)

    (version,) = (tmp_path / "damaged" / "export" / "final").iterdir()
    (version / "saved_model.pb").write_bytes(b"junk")
    done = cli("predict", "--model_dir", "damaged", "digits")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"{version.relative_to(tmp_path)}: cannot be loaded" in done.stderr


def test_a_file_name_that_is_not_text_and_a_file_named_twice(cli, run, digits, tmp_path):
    odd = os.fsdecode(b"digits/new\nline\xff\x1b[1m.png")
    shutil.copy(digits / "01_1.png", tmp_path / odd)
    words = ["predict", "--model_dir", run, odd, "digits/01_1.png", "digits/01_1.png"]
    table = cli(*words, PYTHONIOENCODING="ascii")
    assert table.returncode == 0 and len(table.stdout.splitlines()) == 5 and "\x1b" not in table.stdout
    answers = json.loads(cli(*words, "--json").stdout)
    assert answers[0]["file"] == odd
    assert answers[0]["probabilities"] == answers[1]["probabilities"] == answers[2]["probabilities"]


def call(run: Path, *words: str, **options) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        module_command("estimator_mnist", "predict", "--model_dir", run, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores SIGINT, and so would all that these tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def test_code_in_the_folder_of_the_images_is_not_run(run, digits, tmp_path):
    """People classify folders that they have downloaded."""
    for name in ("json", "numpy", "PIL", "tensorflow", "tqdm", "multiprocessing", "sitecustomize"):
        (digits / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(99)\n")
    for number in range(300):  # so many that other processes read them
        (digits / f"copy-{number}.png").write_bytes((digits / "07_7.png").read_bytes())
    process = call(run, "--json", ".", cwd=digits)
    out, err = process.communicate()
    assert process.returncode == 1 and len(json.loads(out)) > 300, err  # the broken file has no answer
    assert not (tmp_path / "ran").exists()


def test_standard_input_and_words_after_two_dashes(run, digits):
    shutil.copy(digits / "07_7.png", digits / "-x.png")
    process = call(run, "--json", "-", "--", "-x.png", stdin=subprocess.PIPE, cwd=digits)
    out, err = process.communicate((digits / "07_7.png").read_bytes())
    first, second = json.loads(out)
    assert process.returncode == 0 and err == b"" and (first["file"], second["file"]) == ("-", "-x.png")
    assert first["probabilities"] == second["probabilities"]


def test_several_processes_keep_the_order_of_many_files(run, digits):
    for copy in range(1000):
        os.link(digits / f"{copy % 9:02d}_{copy % 9}.png", digits / f"many_{copy:04d}.png")
    process = call(run, "--json", str(digits))
    out, _ = process.communicate()
    answers = {Path(answer["file"]).name: answer for answer in json.loads(out)}
    assert list(answers) == sorted(os.listdir(digits)) and process.returncode == 1
    for copy in range(1000):
        original = answers[f"{copy % 9:02d}_{copy % 9}.png"]
        assert answers[f"many_{copy:04d}.png"]["probabilities"] == pytest.approx(original["probabilities"], abs=1e-6)


def wait_until_full(pipe: int) -> None:
    """Waits until a pipe is full: its writer waits for room."""
    before, waiting = -1, array.array("i", [0])

    def is_full() -> bool:
        nonlocal before
        before = waiting[0]
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
        return before == waiting[0] and before >= 50_000

    wait_until(is_full, every=0.5)


@pytest.mark.parametrize("reader", ["reads", "has stopped"])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, "closed pipe"], ids=str)
def test_no_process_survives_an_interruption(run, digits, how, reader):
    many = digits / "many"
    many.mkdir()
    for copy in range(3000):
        os.link(digits / "01_1.png", many / f"{copy:04d}.png")
    process = call(run, str(many), str(many), str(many), start_new_session=True)
    assert process.stdout is not None and process.stderr is not None
    for _ in range(100):
        process.stdout.readline()
    if reader == "has stopped":
        wait_until_full(process.stdout.fileno())
    if how == "closed pipe":
        process.stdout.close()
    else:
        os.killpg(process.pid, how) if how == signal.SIGINT else process.send_signal(how)
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9, "closed pipe": 1}[how]
    assert process.wait(PATIENCE) == expected
    if how != signal.SIGKILL:  # after which Python's multiprocessing reports its clean-up
        assert process.stderr.read() == b""
    try:
        wait_until(lambda: not group_exists(process.pid), seconds=60)
    except AssertionError:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def group_exists(group: int) -> bool:
    """Tells whether a process group has a process left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "words, code, message",
    [
        (["predict"], 2, "predict: names no files"),
        (["predict", "nowhere.png"], 1, "1 of 1 files have no answer"),
        (["predict", "digits", "--preprocess", "square"], 2, "--preprocess"),
        (["predict", "digits", "--contact_sheet", "sheet.jpg"], 2, "--contact_sheet sheet.jpg: is written as PNG"),
        (
            ["predict", "digits", "--contact_sheet", "no/sheet.png"],
            2,
            "--contact_sheet no/sheet.png: cannot be written",
        ),
        (["predict", "digits", "--model", "conv"], 2, "--model is conv"),
        (["predict", "digits", "--model_dir", "nothing"], 2, "--model_dir nothing: holds no experiment"),
        (["evaluate", "digits"], 2, "digits: not expected here"),
    ],
)
def test_bad_input_gets_one_line(cli, run, digits, words, code, message):
    own = [] if "--model_dir" in words else ["--model_dir", run]
    done = cli(*words, *own)
    assert done.returncode == code and done.stderr.count("\n") == 1 and message in done.stderr, done.stderr


def test_a_model_dir_without_a_network_is_one_line(cli, run, digits, tmp_path):
    (tmp_path / "begun").mkdir()
    shutil.copy(run / "experiment.json", tmp_path / "begun")
    done = cli("predict", "--model_dir", "begun", "digits")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: --model_dir begun: holds no checkpoint yet; train it first\n"


def test_contact_sheets_have_pages(tmp_path):
    random = np.random.default_rng(0)
    answers = [
        Answer(f"{i}.png", random.integers(0, 256, (28, 28, 1), np.uint8), np.eye(10)[i % 10], None) for i in range(900)
    ]
    answers[5] = Answer("a name that is much wider than its picture.png", None, None, "is empty")
    sheets = ContactSheets(tmp_path / "sheet.png", NAMES, (28, 28))
    for start in range(0, 900, 64):
        sheets.add(answers[start : start + 64])
    sheets.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet-2.png", "sheet-3.png", "sheet.png"]
    with Image.open(tmp_path / "sheet.png") as first, Image.open(tmp_path / "sheet-3.png") as last:
        assert first.height > 1000 and last.width == first.width and last.height < first.height / 2


def test_contact_sheets_have_room_for_images_of_any_size(tmp_path):
    random = np.random.default_rng(0)
    answers = [
        Answer(f"{i}.png", random.integers(0, 256, (20, 60, 1), np.uint8), np.eye(10)[i], None) for i in range(3)
    ]
    sheets = ContactSheets(tmp_path / "sheet.png", NAMES, (20, 60))
    sheets.add(answers)
    sheets.close()
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("L"))
    for answer in answers:
        enlarged = answer.image[..., 0].repeat(2, 0).repeat(2, 1)
        windows = np.lib.stride_tricks.sliding_window_view(pixels, enlarged.shape)
        assert (windows[..., 0, :] == enlarged[0]).all(axis=-1).any(), "the picture is on the sheet"


def test_control_characters_of_class_names_do_not_reach_the_terminal(tmp_path, capsys):
    names = ["\x1b[31mred", "two\nlines"]
    answers = [
        Answer("a\tb.png", np.zeros((28, 28, 1), np.uint8), np.array([0.75, 0.25], np.float32), None),
        Answer("c.png", np.zeros((28, 28, 1), np.uint8), np.array([0.25, 0.75], np.float32), None),
    ]
    assert list(answer_table.print_table([answers], names)) == [answers]
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["a\\tb.png", "\\x1b[31mred", "75.00%", "two\\nlines", "(25.00%)"]
    assert second.split() == ["c.png", "two\\nlines", "75.00%", "\\x1b[31mred", "(25.00%)"]
    sheets = ContactSheets(tmp_path / "sheet.png", names, (28, 28))
    sheets.add(answers)
    sheets.close()
    assert (tmp_path / "sheet.png").exists()


LONG_NAMES = [f"Ein sehr langer Name einer Klasse, der Nummer {number} von dreihundert" for number in range(300)]
SCRIPTS = ["猫", "кошка", "قطة", "größte Katze", "😀", "e\u0301te\u0301"]


def answers_of(names: List[str], image_shape: Tuple[int, int, int], count: int = 40) -> List[Answer]:
    """Returns answers of which each gives another class the most."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, *image_shape), np.uint8)
    logits = random.normal(size=(count, len(names))) + 20 * np.eye(count, len(names))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return [Answer(f"{number}.png", images[number], probabilities[number], None) for number in range(count)]


def test_a_table_of_many_and_long_class_names_stays_narrow_and_says_which(capsys):
    answers = answers_of(LONG_NAMES, (32, 32, 3))
    assert list(answer_table.print_table([answers], LONG_NAMES)) == [answers]
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120 and len(lines) == 42
    for number, line in enumerate(lines[2:]):
        assert "Ein sehr" in line and f"{number} von dreihundert " in line and "..." in line


def test_columns_are_aligned_in_every_script(capsys):
    answers = answers_of(SCRIPTS, (28, 28, 1), count=6)
    assert list(answer_table.print_table([answers], SCRIPTS)) == [answers]
    header, _, *rows = capsys.readouterr().out.splitlines()
    starts = set()
    for row, name in zip(rows, SCRIPTS):
        before = row[: row.index("%")]
        assert name in before
        wide = sum(unicodedata.east_asian_width(char) in "WF" for char in before)
        starts.add(len(before) + wide - sum(unicodedata.combining(char) > 0 for char in before))
    assert len(starts) == 1 and starts == {header.index("probability") + len("probability") - 1}


def test_json_can_be_read_by_people_and_by_programs(capsys):
    names = [*SCRIPTS, "a\x1b[31m\u2028\u0085b"]
    answers = [*answers_of(names, (28, 28, 1), count=7), Answer(os.fsdecode(b"\xff.png"), None, None, "is empty")]
    assert list(command.print_json(iter([answers]), names)) == [answers]
    text = capsys.readouterr().out
    assert all(name in text for name in SCRIPTS) and all(char.isprintable() or char == "\n" for char in text)
    objects = json.loads(text)
    assert [one["label"] for one in objects] == [*names, None] and objects[-1]["file"] == os.fsdecode(b"\xff.png")


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 3), (8, 8, 3), (500, 200, 3), (1, 4096, 1)], ids=str)
def test_contact_sheets_show_colours_and_keep_their_size(image_shape, tmp_path):
    names = [*SCRIPTS, *LONG_NAMES]
    answers = answers_of(names, image_shape, count=20)
    sheets = ContactSheets(tmp_path / "sheet.png", names, image_shape[:2])
    sheets.add(answers)
    sheets.close()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width <= 16 * 200 and sheet.height <= 2 * 200
        pixels = np.asarray(sheet).astype(int)
    coloured = np.ptp(pixels, axis=2).max() > 100
    assert coloured == (image_shape[2] == 3), "all answers are sure, and their texts grey"


def test_a_text_has_a_font_or_is_escaped():
    for text in ("seven", "größte", "кошка", "αβγ"):
        font, shown = fonts.font_for(text, 11)
        assert shown == text and font.getlength(text) > 5
        assert len({bytes(font.getmask(char)) for char in text}) > 2, "the characters do not all look the same"
    unassigned = "x\U000e0fff"
    assert fonts.font_for(unassigned, 11)[1] == "x\\U000e0fff"
