"""A user's folder of images: every kind of file, every way in which a folder can be wrong, and the cache."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pytest
from PIL import Image
from support import ROOT, is_running, wait_until

import input_fns
from estimator_mnist.predict.pictures import decode
from input_fns import InputError
from input_fns.sources import array_cache, image_files, image_folder, image_processes
from input_fns.sources.request import silence

SCRIPT = "import sys; from input_fns.sources import image_folder; from input_fns import Request; " + (
    "image_folder.decoded(Request(image_dir=sys.argv[1]), lambda line: print(line, flush=True))"
)


@pytest.fixture(scope="module")
def digits(sample) -> Dict[int, np.ndarray]:
    """Real digits of the sample by class, uint8 [400, 28, 28]."""
    images, labels = sample.train.arrays()
    return {label: images[labels == label, ..., 0] for label in range(10)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path, digits: Dict[int, np.ndarray], count: int = 5, classes: str = "013") -> Path:
    """Writes the first digits of some classes as PNG files, a folder a class."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number, digit in enumerate(digits[int(name)][:count]):
            Image.fromarray(digit).save(folder / name / f"{number}.png")
    return folder


def decoded(folder: Path, say: Any = lambda line: None, **request: Any) -> array_cache.Facts:
    return image_folder.decoded(input_fns.Request(source="folder", image_dir=str(folder), **request), say)


def arrays(facts: array_cache.Facts) -> Dict[str, Tuple[np.ndarray, np.ndarray]]:
    return {
        split: (array_cache.read(facts.file(split, "images")), array_cache.read(facts.file(split, "labels")))
        for split in ("train", "test")
    }


def examples(facts: array_cache.Facts, *splits: str) -> List[Tuple[str, bytes]]:
    """Returns (class name, image) of each example of some splits, sorted."""
    both = arrays(facts)
    return sorted((facts.class_names[label], image.tobytes()) for split in splits for image, label in zip(*both[split]))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(tmp_path: Path, content: bytes, size: Optional[image_files.Size] = None) -> np.ndarray:
    (tmp_path / "image").write_bytes(content)
    return image_files.read_image(str(tmp_path / "image"), size)


# Files.


def test_grey_files_of_every_kind_become_the_digit_that_was_written(tmp_path, digits):
    digit = digits[7][0]
    grey = Image.fromarray(digit)
    colour, sixteen_bits = grey.convert("RGB"), Image.fromarray(digit.astype(np.uint16) * 257)
    with_alpha = Image.merge("LA", (grey, Image.new("L", grey.size, 255)))
    for content in (
        saved(grey, "PNG"),
        saved(grey, "BMP"),
        saved(grey, "GIF"),
        saved(grey, "WEBP", lossless=True),
        saved(colour, "PNG"),
        saved(colour.quantize(256), "PNG"),
        saved(sixteen_bits, "PNG"),
        saved(with_alpha, "PNG"),
        saved(grey, "GIF", save_all=True, append_images=[Image.fromarray(255 - digit)] * 2),  # its first frame
    ):
        image = read(tmp_path, content)
        assert image.shape == (28, 28, 1) and image.dtype == np.uint8 and np.array_equal(image[..., 0], digit)
    for content in (saved(grey, "JPEG", quality=95), saved(colour, "JPEG", quality=95)):
        image = read(tmp_path, content)
        assert image.shape == (28, 28, 1) and np.abs(image[..., 0].astype(int) - digit).mean() < 3
    black_and_white = read(tmp_path, saved(Image.fromarray(np.where(digit > 127, 255, 0).astype(np.uint8), "L"), "PNG"))
    one_bit = read(tmp_path, saved(grey.point(lambda value: 255 * (value > 127)).convert("1"), "PNG"))
    assert np.array_equal(black_and_white, one_bit)


def test_colours_of_every_kind_of_file_are_red_green_and_blue(tmp_path):
    colour = Image.fromarray(np.tile(np.array([[[250, 120, 10]]], np.uint8), (16, 24, 1)))
    for content in (saved(colour, "PNG"), saved(colour.quantize(4), "PNG"), saved(colour, "BMP")):
        image = read(tmp_path, content)
        assert image.shape == (16, 24, 3) and (image == [250, 120, 10]).all()
    for content in (saved(colour, "JPEG"), saved(colour.convert("CMYK"), "JPEG"), saved(colour, "WEBP")):
        image = read(tmp_path, content)
        assert image.shape == (16, 24, 3) and np.abs(image.astype(int) - [250, 120, 10]).max() < 6


def test_transparent_pixels_become_black(tmp_path, digits):
    digit = digits[3][0]
    white = Image.new("L", (28, 28), 255)
    as_opacity = Image.merge("LA", (white, Image.fromarray(digit)))
    assert np.array_equal(read(tmp_path, saved(as_opacity, "PNG"))[..., 0], digit)
    palette = Image.fromarray((digit > 127).astype(np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    image = read(tmp_path, saved(palette, "PNG", transparency=0))
    assert np.array_equal(image, np.where(digit[..., np.newaxis] > 127, [0, 255, 0], [0, 0, 0]))
    black_ink = Image.merge("LA", (Image.new("L", (28, 28)), Image.fromarray(digit)))
    with pytest.raises(image_files.ImageFileError, match="is black on a transparent background"):
        read(tmp_path, saved(black_ink, "PNG"))
    invisible = Image.merge("LA", (white, Image.new("L", (28, 28))))
    assert not read(tmp_path, saved(invisible, "PNG")).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path, digits, orientation):
    digit = Image.fromarray(digits[4][0][:, :20])
    turns = {value: turn for value, turn in image_files.UPRIGHT.items() if value not in (6, 8)}
    # What the camera stored: 6 and 8 are each other's inverse, and every other turn is its own.
    turns.update({6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270})
    stored = digit.transpose(turns[orientation]) if orientation > 1 else digit
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    for content in (saved(stored, "PNG", exif=exif), saved(stored, "WEBP", exif=exif, lossless=True)):
        assert np.array_equal(read(tmp_path, content)[..., 0], np.asarray(digit))


def test_a_picture_is_resized_whole_and_antialiased(tmp_path, digits):
    digit = digits[8][0]
    large = Image.fromarray(digit).resize((280, 560), Image.Resampling.NEAREST)
    image = read(tmp_path, saved(large, "PNG"), image_files.Size(28, 28, True))
    assert np.abs(image[..., 0].astype(int) - digit).mean() < 8
    # The same picture as predict --preprocess resize makes.
    assert np.array_equal(image[..., 0], np.asarray(large.resize((28, 28), Image.Resampling.BILINEAR)))
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    assert abs(read(tmp_path, saved(stripes, "PNG"), image_files.Size(8, 8, True)).astype(int) - 127).max() < 10
    tiny = read(tmp_path, saved(Image.new("L", (1, 1), 200), "PNG"), image_files.Size(5, 7, True))
    assert tiny.shape == (5, 7, 1) and (tiny == 200).all()


def test_resized_transparent_pixels_do_not_bleed(tmp_path):
    red = np.zeros((40, 40, 4), np.uint8)
    red[10:30, 10:30] = 255, 0, 0, 255
    red[..., 1] = np.where(red[..., 3], 0, 255)  # transparent green
    image = read(tmp_path, saved(Image.fromarray(red), "PNG"), image_files.Size(20, 20, True))
    assert image.shape == (20, 20, 3) and not image[..., 1:].any() and image[10, 10, 0] == 255


@pytest.mark.parametrize("size", [(28, 28), (20, 33)], ids=str)
def test_predict_makes_the_same_image_of_a_picture(tmp_path, digits, size):
    """A network sees a user's picture as it saw those it was trained on."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (28, 28, 4), np.uint8))
    grey = Image.fromarray(digits[5][0])
    for content in (
        saved(noise, "PNG"),
        saved(noise.convert("RGB"), "JPEG"),
        saved(noise.convert("CMYK"), "JPEG"),
        saved(noise.convert("RGB").quantize(50), "GIF"),
        saved(Image.fromarray(digits[5][0].astype(np.uint16) * 200), "PNG"),
        saved(grey, "BMP"),
    ):
        image = read(tmp_path, content, image_files.Size(*size, True))
        predicted = decode.prepare(content, decode.Preparation("resize", image.shape))
        assert np.array_equal(image, predicted)


def bomb() -> bytes:
    """Returns a PNG that says it has 20,000 x 20,000 pixels."""
    content = bytearray(saved(Image.new("L", (8, 8)), "PNG"))
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


PNG = saved(Image.effect_noise((64, 64), 50), "PNG")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty; repair or remove it"),
        (b"no image at all", r"is not an image \(PNG, JPEG, GIF, BMP, WEBP\), or its beginning is damaged"),
        (PNG[:700], "is damaged .*; repair or remove it"),
        (PNG[:20], "is (damaged|not an image)"),
        (PNG[:500] + b"junk" * 9 + PNG[536:], "is damaged"),
        (saved(Image.new("L", (8, 8)), "TIFF"), "is not an image"),
        (bomb(), "is too large: at most 100,000,000 pixels are decoded"),
        (saved(Image.new("L", (4097, 1)), "PNG"), "has 1x4097 pixels.*4096 a side; resize all .* --image_size 64"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_in_one_line(tmp_path, content, message):
    with pytest.raises(image_files.ImageFileError, match=message) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


# Folders.


def test_class_names_are_those_of_folders_and_every_image_is_there_once(tmp_path, digits):
    write(tmp_path / "own", digits)
    (tmp_path / "own" / "3").rename(tmp_path / "own" / "三")
    (tmp_path / "own" / "1").rename(tmp_path / "own" / "Ärger mit Leerzeichen")
    facts = decoded(tmp_path / "own")
    assert facts.class_names == ("0", "Ärger mit Leerzeichen", "三")
    assert facts.image_shape == (28, 28, 1) and facts.examples == {"train": 12, "test": 3}
    expected = [("0", 0), ("Ärger mit Leerzeichen", 1), ("三", 3)]
    assert examples(facts, "train", "test") == sorted(
        (name, image.tobytes()) for name, label in expected for image in digits[label][:5]
    )
    assert (
        facts.description == f"own: 15 images of the folder {tmp_path / 'own'}, of which 3 were held out for the test"
    )


def test_train_and_test_folders_are_the_splits(tmp_path, digits):
    write(tmp_path / "own" / "train", digits, 6)
    write(tmp_path / "own" / "test", digits, 2, "03")
    (tmp_path / "own" / "unlabelled").mkdir()
    said: List[str] = []
    facts = decoded(tmp_path / "own", said.append)
    assert facts.examples == {"train": 18, "test": 4} and facts.class_names == ("0", "1", "3")
    assert examples(facts, "test") == sorted((str(n), image.tobytes()) for n in (0, 3) for image in digits[n][:2])
    assert said == [
        f"Reading 22 images of 3 classes in {tmp_path / 'own'}",
        f"Only train and test of {tmp_path / 'own'} are read, not unlabelled",
        "The test split has no images of 1",
    ]


def test_a_train_folder_alone_is_cut(tmp_path, digits):
    write(tmp_path / "own" / "train", digits, 6)
    assert decoded(tmp_path / "own").examples == {"train": 15, "test": 3}


def test_the_test_split_is_stratified_and_holds_each_class_of_two_or_more(tmp_path, digits):
    for name, count in (("0", 40), ("1", 10), ("2", 2), ("3", 1)):
        write(tmp_path / "own", digits, count, name)
    facts = decoded(tmp_path / "own", test_fraction=0.25)
    by_split = {split: np.bincount(labels, minlength=4).tolist() for split, (_, labels) in arrays(facts).items()}
    assert by_split["test"][0] == 10 and by_split["test"][1] in (2, 3) and by_split["test"][2:] == [1, 0]
    assert [sum(both) for both in zip(*by_split.values())] == [40, 10, 2, 1]
    more_for_the_test = decoded(tmp_path / "own", test_fraction=0.5)
    assert more_for_the_test.examples["test"] == 26 and more_for_the_test.folder != facts.folder
    with pytest.raises(InputError, match=r"--test_fraction 1\.5: must be between 0 and 1"):
        decoded(tmp_path / "own", test_fraction=1.5)


def test_every_part_of_a_split_holds_all_classes(tmp_path, digits):
    write(tmp_path / "own", digits, 40, "0123")
    _, labels = arrays(decoded(tmp_path / "own"))["train"]
    for first in range(0, len(labels), 16):
        assert np.bincount(labels[first : first + 16], minlength=4).tolist() == [4, 4, 4, 4]


def test_the_data_is_independent_of_the_order_of_the_file_system(tmp_path, digits, monkeypatch):
    write(tmp_path / "own", digits, 30)
    first = decoded(tmp_path / "own")
    scandir = os.scandir

    class Reversed:
        def __init__(self, folder: str):
            with scandir(folder) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *error):
            pass

    shutil.rmtree(first.folder)
    monkeypatch.setattr(os, "scandir", Reversed)
    second = decoded(tmp_path / "own")
    assert second.crc32 == first.crc32 and second.made_from == first.made_from


def test_many_colour_images_are_read_by_other_processes_to_the_same_data(tmp_path, digits, monkeypatch):
    """40x40, and the first classes are grey, so that arrays of one channel come first."""
    rng = np.random.default_rng(0)
    written = []
    for label in range(5):
        (tmp_path / "own" / str(label)).mkdir(parents=True)
        for number, digit in enumerate(digits[label][:100]):
            grey = np.pad(digit, 6)
            tint = rng.integers(100, 256, 3) if label > 2 else np.full(3, 255)
            image = (grey[..., np.newaxis] * (tint / 255)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "own" / str(label) / f"{number}.png")
            written.append((str(label), image.tobytes()))
    assert len(written) > image_processes.FEW
    facts = decoded(tmp_path / "own")
    assert facts.image_shape == (40, 40, 3) and facts.preparation == "resize"
    assert examples(facts, "train", "test") == sorted(written)
    shutil.rmtree(facts.folder)
    monkeypatch.setattr(image_processes, "FEW", 10_000)  # all of them in this process
    assert decoded(tmp_path / "own").crc32 == facts.crc32


def test_images_of_other_sizes_are_resized(tmp_path, digits):
    write(tmp_path / "own", digits)
    Image.fromarray(digits[0][6]).resize((90, 60)).save(tmp_path / "own" / "0" / "large.jpeg")
    with pytest.raises(InputError, match=r"large.jpeg: has 60x90 pixels .*first image 28x28; .* --image_size 28x28"):
        decoded(tmp_path / "own")
    assert decoded(tmp_path / "own", image_size="32x24").image_shape == (32, 24, 1)
    assert decoded(tmp_path / "own", image_size="20").image_shape == (20, 20, 1)


def test_hidden_files_and_those_of_systems_are_ignored_and_subfolders_belong_to_their_class(tmp_path, digits):
    own = write(tmp_path / "own", digits)
    (own / "0" / "writer 2" / "page").mkdir(parents=True)
    Image.fromarray(digits[0][9]).save(own / "0" / "writer 2" / "page" / "a.PNG")
    for name in (".DS_Store", "0/._0.png", "0/Thumbs.db", "1/desktop.ini", "README.md"):
        (own / name).write_bytes(b"no image")
    (own / "__MACOSX").mkdir()
    (own / ".cache").mkdir()
    facts = decoded(own)
    assert facts.class_names == ("0", "1", "3") and sum(facts.examples.values()) == 16


def test_a_class_has_one_name_however_its_accents_are_encoded(tmp_path, digits):
    write(tmp_path / "own" / "train", digits, 3, "01")
    write(tmp_path / "own" / "test", digits, 3, "01")
    for split, form in (("train", "NFC"), ("test", "NFD")):
        (tmp_path / "own" / split / "1").rename(tmp_path / "own" / split / unicodedata.normalize(form, "Café"))
    assert decoded(tmp_path / "own").class_names == ("0", unicodedata.normalize("NFC", "Café"))


def empty_class(own: Path) -> Path:
    (own / "7").mkdir()
    return own / "7"


def class_only_in_test(own: Path) -> Path:
    for split in ("train", "test"):
        shutil.copytree(own / "0", own / split / "0")
    shutil.copytree(own / "1", own / "test" / "1")
    for name in "013":
        shutil.rmtree(own / name)
    return own / "test" / "1"


def image_beside_classes(own: Path) -> Path:
    return Path(shutil.copy(own / "0" / "0.png", own / "stray.png"))


def text_in_a_class(own: Path) -> Path:
    (own / "0" / "labels.csv").write_text("0,1")
    return own / "0" / "labels.csv"


def damaged(own: Path) -> Path:
    (own / "1" / "2.png").write_bytes((own / "1" / "2.png").read_bytes()[:90])
    return own / "1" / "2.png"


def broken_link(own: Path) -> Path:
    (own / "1" / "gone.png").symlink_to(own / "nowhere.png")
    return own / "1" / "gone.png"


def circle(own: Path) -> Path:
    (own / "1" / "circle").symlink_to(own)
    return own / "1" / "circle"


def pipe(own: Path) -> Path:
    os.mkfifo(own / "3" / "pipe.png")
    return own / "3" / "pipe.png"


def test_without_train(own: Path) -> Path:
    shutil.copytree(own / "0", own / "test" / "0")
    return own


test_without_train.__test__ = False  # type: ignore[attr-defined]


def no_classes(own: Path) -> Path:
    for name in "013":
        shutil.rmtree(own / name)
    return own


def images_in_train(own: Path) -> Path:
    for name in "013":
        shutil.move(own / name, own.parent / name)
    for split in ("train", "test"):
        shutil.copytree(own.parent / "0", own / split)
    return own / "train"


def validation_instead_of_test(own: Path) -> Path:
    shutil.copytree(own / "0", own / "train" / "0")
    for name in "013":
        shutil.rmtree(own / name)
    (own / "val").mkdir()
    return own


@pytest.mark.parametrize(
    "change, message",
    [
        (empty_class, "the class's folder holds no images; add some or remove it"),
        (class_only_in_test, "the class has no folder in .*train; add one"),
        (image_beside_classes, "lies beside the folders of classes; move it into one of them"),
        (text_in_a_class, r"is no image file \(.png, .*\); convert it or move it out of the class"),
        (damaged, "is damaged .*; repair or remove it"),
        (broken_link, r"cannot be read \(No such file or directory\); repair or remove it"),
        (circle, "is a link to a folder"),
        (pipe, "is not a regular file; repair or remove it"),
        (test_without_train, "holds test but no train; add train with a folder a class"),
        (no_classes, "holds no folder; it must hold a folder of images a class"),
        (images_in_train, "holds no folder; it must hold a folder of images a class"),
        (validation_instead_of_test, "holds train beside val, but no test"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_that_is_wrong_is_one_line_that_names_the_place(tmp_path, digits, cache, change, message):
    named = change(write(tmp_path / "own", digits))
    with pytest.raises(InputError, match=rf"{re.escape(str(named))}: {message}") as caught:
        decoded(tmp_path / "own")
    assert "\n" not in str(caught.value) and not list(cache.glob("estimator_mnist/*/*"))


def test_what_is_no_folder_is_named(tmp_path, digits):
    with pytest.raises(InputError, match=r"--image_dir .*none: does not exist; it must be a folder"):
        decoded(tmp_path / "none")
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"--image_dir .*images\.zip: is a file; it must be a folder"):
        decoded(tmp_path / "images.zip")
    with pytest.raises(InputError, match="--image_dir: not given"):
        image_folder.decoded(input_fns.Request(source="folder"), print)
    write(tmp_path / "one each", digits, 1)
    with pytest.raises(InputError, match="no class has two examples"):
        decoded(tmp_path / "one each")


def test_an_unreadable_folder_is_named(tmp_path, digits, monkeypatch):
    own = write(tmp_path / "own", digits)
    scandir = os.scandir

    def refused(folder: str):
        if str(folder) == str(own / "1"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refused)  # root may read every folder, and tests may run as root
    with pytest.raises(InputError, match=rf"{own / '1'}: the folder cannot be read \(Permission denied\)"):
        decoded(own)


def test_a_damaged_file_among_many_is_named_and_leaves_nothing(tmp_path, digits, cache):
    own = write(tmp_path / "own", digits, 150)
    for name in ("1/77.png", "3/5.png"):
        (own / name).write_bytes(b"junk")
    with pytest.raises(InputError, match=rf"{own / '1' / '77.png'}: is not an image"):
        decoded(own)
    assert not list(cache.glob("estimator_mnist/*/*"))


# The cache.


def test_data_is_decoded_once(tmp_path, digits, monkeypatch):
    write(tmp_path / "own", digits)
    first = decoded(tmp_path / "own")
    monkeypatch.setattr(image_files, "opened", None)  # nothing is decoded
    assert decoded(tmp_path / "own") == first


def test_any_change_of_the_files_is_noticed(tmp_path, digits):
    own = write(tmp_path / "own", digits)
    seen = [decoded(own)]

    def changed() -> bool:
        seen.append(decoded(own))
        return seen[-1].made_from != seen[-2].made_from

    assert not changed()
    Image.fromarray(digits[0][10]).save(own / "0" / "new.png")
    assert changed() and sum(seen[-1].examples.values()) == 16
    (own / "0" / "new.png").rename(own / "1" / "new.png")
    assert changed()
    (own / "1" / "new.png").rename(own / "1" / "newer.png")
    assert changed()
    (own / "1" / "newer.png").unlink()
    assert changed()
    status = (own / "3" / "0.png").stat()
    os.utime(own / "3" / "0.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert changed() and seen[-1].crc32 == seen[0].crc32
    (own / "3").rename(own / "three")
    assert changed() and seen[-1].class_names == ("0", "1", "three")


def test_files_that_change_while_they_are_read_are_noticed(tmp_path, digits, monkeypatch):
    own = write(tmp_path / "own", digits)
    with pytest.raises(InputError, match=f"{own / '0'}: its files changed while they were read"):
        decoded(own, lambda line: (own / "0" / "0.png").write_bytes(b"junk"))


def test_ctrl_c_ends_the_reading_and_leaves_nothing(tmp_path, digits, cache):
    noise = Image.effect_noise((600, 600), 90)
    (tmp_path / "own" / "noise").mkdir(parents=True)
    noise.save(tmp_path / "own" / "noise" / "0.png")
    for number in range(1, 1500):  # a hundred a second
        os.link(tmp_path / "own" / "noise" / "0.png", tmp_path / "own" / "noise" / f"{number}.png")
    reading = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "own")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = Path(f"/proc/{reading.pid}/task/{reading.pid}/children")
    wait_until(lambda: len(children.read_text().split()) >= min(2, image_processes._cores()))
    pids = [int(pid) for pid in children.read_text().split()]
    reading.send_signal(signal.SIGINT)
    out, err = reading.communicate(timeout=60)
    assert out.startswith("Reading 1,500 images") and "KeyboardInterrupt" in err.splitlines()[-1]
    # One that the signal reached in the middle of its start ends by itself, for nobody holds its input any more.
    wait_until(lambda: not any(map(is_running, pids)), seconds=10)
    assert not list(cache.glob("estimator_mnist/*/*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_progress_on_a_terminal_unless_all_is_silent(tmp_path, digits, monkeypatch):
    own = write(tmp_path / "own", digits, 150)
    read_image = image_files.read_image

    def slowly(*arguments: Any) -> np.ndarray:
        time.sleep(0.01)
        return read_image(*arguments)

    monkeypatch.setattr(image_processes, "FEW", 1000)  # all of them in this process
    monkeypatch.setattr(image_processes, "read_image", slowly)
    shown = []
    for say in (print, silence):
        monkeypatch.setattr(sys, "stderr", Terminal())
        shutil.rmtree(decoded(own, say).folder)
        shown.append(sys.stderr.getvalue())
    assert "reading own:" in shown[0] and "/450" in shown[0] and not shown[1]


def test_decoding_needs_no_tensorflow(tmp_path, digits):
    write(tmp_path / "own", digits, 100)
    script = SCRIPT + "; assert 'tensorflow' not in sys.modules; print(image_folder.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "own")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("input_fns.sources.image_folder\n") and not done.stderr


def test_find_offers_the_folder_as_a_data_set(tmp_path, digits):
    write(tmp_path / "my digits", digits, 20)
    data = input_fns.find(input_fns.Request(image_dir=str(tmp_path / "my digits"), validation_size=12))
    assert (data.source, data.dataset, data.image_shape) == ("folder", "my digits", (28, 28, 1))
    assert data.class_names == ("0", "1", "3") and data.preparation == "mnist"
    assert np.bincount(data.test.arrays()[1], minlength=3).tolist() == [4, 4, 4], "validation is stratified, too"
