"""Pictures of any kind become images as networks take them. Whatever is not a picture gets one line that says so."""

import io
import os
import subprocess
import sys
import zlib
from typing import Callable, Dict, List

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from support import ROOT

from estimator_mnist.predict.pictures import decode, reader
from estimator_mnist.predict.pictures.decode import Preparation
from input_fns.sources import image_files
from input_fns.sources.image_files import ImageFileError

MNIST, FIT, NONE, RESIZE = (Preparation(preprocess, (28, 28, 1)) for preprocess in ("mnist", "fit", "none", "resize"))
COLOUR = Preparation("resize", (32, 24, 3))
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@pytest.fixture(scope="module")
def digits(sample) -> np.ndarray:
    """uint8 [n, 28, 28]: the test images of the sample."""
    return sample.test.arrays()[0][..., 0]


@pytest.fixture(scope="module")
def classify(sample) -> Callable[[np.ndarray], np.ndarray]:
    """Classes by a network of one hidden layer, trained for a few seconds on the 4,000 training images."""
    import tensorflow as tf

    images, labels = sample.train.arrays()
    tf.keras.utils.set_random_seed(1)
    network = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(128, "relu")])
    network.add(tf.keras.layers.Dense(10))
    network.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(images / np.float32(255), labels, batch_size=64, epochs=8, verbose=0)
    return lambda some: network(some / np.float32(255)).numpy().argmax(axis=1)


def in_grey(picture: bytes, preparation: Preparation) -> np.ndarray:
    """Returns the only channel of a prepared picture, uint8 [height, width]."""
    prepared = decode.prepare(picture, preparation)
    assert prepared.dtype == np.uint8 and prepared.shape == preparation.image_shape
    return prepared[..., 0]


def encoded(image: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def larger(digit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = round(28 * random.uniform(3, 10))
    return np.asarray(Image.fromarray(digit).resize((side, side), FILTERS[random.integers(3)]))


def on_canvas(digit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width = (int(digit.shape[0] * random.uniform(1, 2)) for _ in range(2))
    height, width = max(height, digit.shape[0]), max(width, digit.shape[1])
    canvas = np.zeros((height, width), np.uint8)
    top, left = random.integers(height - digit.shape[0] + 1), random.integers(width - digit.shape[1] + 1)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas


def coloured(digit: np.ndarray, random: np.random.Generator) -> Image.Image:
    ink, paper = random.integers(0, 256, (2, 3))
    while np.abs(ink - paper).sum() < 120:
        ink = random.integers(0, 256, 3)
    share = digit[..., np.newaxis] / 255
    return Image.fromarray(np.uint8(share * ink + (1 - share) * paper))


def with_alpha(colour: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colour, colour, colour, alpha]).astype(np.uint8))


def all_in_alpha(digit: np.ndarray, brightness: int) -> Image.Image:
    return with_alpha(np.full_like(digit, brightness), digit)


def on_a_transparent_sheet(digit: np.ndarray) -> Image.Image:
    """Black on white paper that ends before the picture does."""
    return with_alpha(np.pad(255 - digit, 20), np.pad(np.full_like(digit, 255), 20))


def photographed(digit: np.ndarray, random: np.random.Generator) -> Image.Image:
    """Grey ink on paper, in uneven light, with noise and out of focus."""
    y, x = np.meshgrid(*(np.linspace(-0.5, 0.5, size) for size in digit.shape), indexing="ij")
    light = (
        0.75 + random.uniform(-0.3, 0.3) * x + random.uniform(-0.3, 0.3) * y - random.uniform(0, 0.4) * (x * x + y * y)
    )
    values = light * (1 - digit / 255 * random.uniform(0.5, 0.9)) + random.normal(0, 0.02, digit.shape)
    picture = Image.fromarray(np.uint8(255 * np.clip(values, 0, 1))).convert("RGB")
    return picture.filter(ImageFilter.GaussianBlur(1))


KINDS: Dict[str, Callable[[np.ndarray, np.random.Generator], bytes]] = {
    "28x28": lambda digit, random: encoded(Image.fromarray(digit)),
    "28x28 inverted": lambda digit, random: encoded(Image.fromarray(255 - digit)),
    "larger": lambda digit, random: encoded(Image.fromarray(larger(digit, random))),
    "inverted": lambda digit, random: encoded(Image.fromarray(255 - larger(digit, random))),
    "shifted": lambda digit, random: encoded(Image.fromarray(on_canvas(larger(digit, random), random))),
    "shifted, not larger": lambda digit, random: encoded(Image.fromarray(on_canvas(digit, random))),
    "coloured": lambda digit, random: encoded(coloured(on_canvas(larger(digit, random), random), random)),
    "JPEG": lambda digit, random: encoded(coloured(larger(digit, random), random), "JPEG", quality=75),
    "WebP": lambda digit, random: encoded(coloured(larger(digit, random), random), "WEBP", quality=75),
    "GIF": lambda digit, random: encoded(Image.fromarray(larger(digit, random)), "GIF"),
    "BMP": lambda digit, random: encoded(Image.fromarray(larger(digit, random)), "BMP"),
    "digit in alpha": lambda digit, random: encoded(all_in_alpha(larger(digit, random), random.integers(256))),
    "transparent sheet": lambda digit, random: encoded(on_a_transparent_sheet(larger(digit, random))),
    "photograph": lambda digit, random: encoded(photographed(on_canvas(larger(digit, random), random), random), "JPEG"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_digit_in_any_form_is_classified_like_the_original(digits, sample, classify, kind):
    labels = sample.test.arrays()[1]
    random = np.random.default_rng(3)
    count = 300
    prepared = np.stack([in_grey(KINDS[kind](digit, random), MNIST) for digit in digits[:count]])
    raw = np.mean(classify(digits[:count]) == labels[:count])
    accuracy = np.mean(classify(prepared) == labels[:count])
    assert raw > 0.9 and accuracy > raw - 0.015, (raw, accuracy)


def test_images_of_mnist_are_unchanged(digits):
    prepared = np.stack([in_grey(encoded(Image.fromarray(digit)), MNIST) for digit in digits])
    same = np.abs(prepared.astype(int) - digits).max(axis=(1, 2)) <= 3  # stretched to full white at most
    assert same.mean() > 0.97
    ready = np.stack([in_grey(encoded(Image.fromarray(digit)), NONE) for digit in digits])
    assert np.array_equal(ready, digits)


def test_a_digit_is_20_pixels_long_with_its_mass_in_the_middle(digits):
    random = np.random.default_rng(0)
    for digit in digits[:200]:
        prepared = in_grey(encoded(Image.fromarray(on_canvas(larger(digit, random), random))), MNIST)
        inked = prepared > 51
        assert 19 <= max(np.ptp(np.flatnonzero(inked.any(axis=axis))) + 1 for axis in (0, 1)) <= 21
        for axis in (0, 1):
            mass = prepared.sum(axis=axis) / prepared.sum()
            assert abs(mass @ np.arange(28) - 14) < 0.2


MODES = {
    "bilevel": lambda image: image.point(lambda value: 255 * (value > 127)).convert("1"),
    "palette": lambda image: image.convert("RGB").quantize(16),
    "grey and alpha": lambda image: Image.merge("LA", [Image.new("L", image.size, 0), image]),
    "RGBA, opaque": lambda image: image.convert("RGBA"),
    "16 bits": lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257),
    "CMYK": lambda image: image.convert("RGB").convert("CMYK"),
    "YCbCr": lambda image: image.convert("YCbCr"),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_the_same_image(digits, mode):
    format = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    for digit in digits[:20]:
        plain = Image.fromarray(digit).resize((112, 112), Image.Resampling.BICUBIC)
        expected = in_grey(encoded(plain), MNIST).astype(int)
        prepared = in_grey(encoded(MODES[mode](plain), format), MNIST)
        assert np.abs(prepared - expected).mean() < (8 if mode == "bilevel" else 4)


def test_16_bits_are_scaled_and_not_truncated(digits):
    deep = Image.fromarray(digits[0].astype(np.uint16) * 257)
    assert np.array_equal(in_grey(encoded(deep), NONE), digits[0])


def test_the_transparent_colour_of_a_palette_is_background(digits):
    big = Image.fromarray(digits[3]).resize((140, 140), Image.Resampling.NEAREST)
    palette = big.point(lambda value: 1 if value > 127 else 0).convert("P")
    palette.putpalette([200, 30, 30, 200, 30, 40])  # two similar reds, one of them transparent
    prepared = in_grey(encoded(palette, "GIF", transparency=0), MNIST)
    expected = in_grey(encoded(big.point(lambda value: 255 if value > 127 else 0)), MNIST).astype(int)
    assert np.abs(prepared - expected).mean() < 4


def test_the_first_frame_of_an_animation_is_read(digits):
    first, second = (Image.fromarray(digit).resize((84, 84)) for digit in digits[:2])
    animation = encoded(first, "GIF", save_all=True, append_images=[second])
    assert np.abs(in_grey(animation, MNIST) - in_grey(encoded(first), MNIST).astype(int)).mean() < 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_applied(digits, format, orientation):
    upright = Image.fromarray(digits[4]).resize((84, 112)).convert("RGB")
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(image_files.UPRIGHT[undo]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    prepared = in_grey(encoded(stored, format, exif=exif, **({"lossless": True} if format == "WEBP" else {})), MNIST)
    assert np.abs(prepared - in_grey(encoded(upright), MNIST).astype(int)).mean() < 4


def test_dirt_beside_a_digit_is_ignored(digits):
    for digit in digits[:50]:
        clean = np.pad(np.asarray(Image.fromarray(digit).resize((168, 168))), 40)
        dirty = clean.copy()
        dirty[5:9, 5:9] = dirty[200:203, 230:233] = 255
        assert np.array_equal(*(in_grey(encoded(Image.fromarray(one)), MNIST) for one in (clean, dirty)))


def test_clothes_fill_the_image(fashion_mnist):
    images = fashion_mnist.test.arrays()[0][:300, ..., 0]
    for image in images:
        assert np.array_equal(in_grey(encoded(Image.fromarray(image)), FIT), image)
        assert np.array_equal(in_grey(encoded(Image.fromarray(255 - image)), FIT), image)
        large = Image.fromarray(np.pad(255 - image.repeat(6, 0).repeat(6, 1), 30, constant_values=255))
        prepared = in_grey(encoded(large), FIT)
        inked = prepared > 0.1 * prepared.max()
        assert max(np.ptp(np.flatnonzero(inked.any(axis=axis))) for axis in (0, 1)) >= 26


def png_of(width: int, height: int) -> bytes:
    """Returns a PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"seven", "is not an image"),
    "bomb": (png_of(60_000, 60_000), "is too large: at most 100,000,000 pixels"),
    "smaller bomb": (png_of(11_000, 10_000), "is too large: at most 100,000,000 pixels"),
    "no pixels": (png_of(28, 28), "is damaged"),
    "white": (encoded(Image.new("L", (50, 50), 255)), "all of its pixels are alike"),
    "one pixel": (encoded(Image.new("RGB", (1, 1))), "all of its pixels are alike"),
    "nothing but alpha 0": (encoded(Image.new("RGBA", (40, 40), (9, 9, 9, 0))), "all of its pixels are alike"),
    "another format": (encoded(Image.new("L", (50, 50)), "TIFF"), "is not an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_gets_a_reason(name):
    content, message = BAD[name]
    for preparation in [MNIST, FIT] if "alike" in message else [MNIST, COLOUR]:
        with pytest.raises(ImageFileError, match=message):
            decode.prepare(content, preparation)


def test_black_strokes_on_a_transparent_sheet_do_not_become_a_black_image(digits):
    picture = encoded(all_in_alpha(digits[0], 0))
    for preparation in (RESIZE, COLOUR):
        with pytest.raises(ImageFileError, match="is black on a transparent background"):
            decode.prepare(picture, preparation)
    assert in_grey(encoded(all_in_alpha(digits[0], 255)), RESIZE).max() > 200


def test_an_unreadable_file_gets_a_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder.png").mkdir()
    for name, message in {
        "pipe.png": "is not a regular file",
        "loop.png": "Too many levels of symbolic links",
        "folder.png": "Is a directory",
        "missing.png": "No such file",
    }.items():
        with pytest.raises(ImageFileError, match=message):
            decode.prepare(str(tmp_path / name), MNIST)


def test_preprocess_none_takes_only_the_size_of_the_network():
    with pytest.raises(ImageFileError, match="is 30x28; --preprocess none takes 28x28 only"):
        decode.prepare(encoded(Image.new("L", (30, 28))), NONE)
    with pytest.raises(ImageFileError, match="is 28x28; --preprocess none takes 24x20 only"):
        decode.prepare(encoded(Image.new("L", (28, 28))), Preparation("none", (20, 24, 1)))


def test_images_have_the_size_of_the_network(digits):
    for digit in digits[:20]:
        picture = encoded(Image.fromarray(np.pad(255 - digit.repeat(5, 0).repeat(5, 1), 60, constant_values=255)))
        for height, width in ((20, 24), (32, 32), (40, 15)):
            fitted = in_grey(picture, Preparation("fit", (height, width, 1)))
            assert fitted.shape == (height, width) and fitted.dtype == np.uint8
            inked = fitted > 0.1 * fitted.max()
            across, down = (np.ptp(np.flatnonzero(inked.any(axis=axis))) + 1 for axis in (0, 1))
            assert across >= width - 1 or down >= height - 1, "as large as fits"
            like_mnist = in_grey(picture, Preparation("mnist", (height, width, 1)))
            assert like_mnist.shape == (height, width)
            for axis, size in ((1, height), (0, width)):
                mass = like_mnist.sum(axis=axis) / like_mnist.sum()
                assert abs(mass @ np.arange(size) - size / 2) < 0.3
        ready = Image.fromarray(digit[2:22, 2:26])
        assert np.array_equal(in_grey(encoded(ready), Preparation("none", (20, 24, 1))), digit[2:22, 2:26])


def gradients(height: int, width: int) -> np.ndarray:
    """A picture in colour, without symmetries: uint8 [height, width, 3]."""
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    return np.uint8(np.rint(255 * np.stack([y, x, x * y], axis=-1)))


@pytest.mark.parametrize("format", ["PNG", "BMP", "JPEG", "WEBP"])
def test_a_whole_picture_is_resized_in_colour(format):
    lossy = format in ("JPEG", "WEBP")  # which blur the colours of a small picture
    for height, width in ((32, 24), (500, 300), (17, 9)) if not lossy else ((500, 300), (320, 240)):
        picture = encoded(Image.fromarray(gradients(height, width)), format)
        prepared = decode.prepare(picture, COLOUR)
        assert prepared.shape == (32, 24, 3) and prepared.dtype == np.uint8
        tolerance = 20 if height < 32 else 8  # enlarged, the outermost pixels are repeated
        assert np.abs(prepared.astype(int) - gradients(32, 24)).max() <= tolerance
    if format == "PNG":
        exact = encoded(Image.fromarray(gradients(32, 24)))
        for preprocess in ("resize", "none"):
            prepared = decode.prepare(exact, Preparation(preprocess, (32, 24, 3)))
            assert np.array_equal(prepared, gradients(32, 24)), "a picture of the right size stays as it is"


def test_resizing_averages_what_a_pixel_covers():
    stripes = np.zeros((280, 280), np.uint8)
    stripes[:, ::2] = 255
    assert np.all(np.abs(in_grey(encoded(Image.fromarray(stripes)), RESIZE)[:, 1:-1].astype(int) - 127) <= 2)


def test_resizing_neither_crops_nor_inverts_nor_centres(digits):
    for digit in digits[:20]:
        # 56x56, the digit in the upper right
        sheet = np.pad(255 - digit[2:-2, 2:-2], ((2, 30), (30, 2)), constant_values=255)
        halved = in_grey(encoded(Image.fromarray(sheet)), RESIZE)
        assert halved[15:].min() == 255 == halved[:, :13].min() and halved[:14, 14:].min() < 128
    plain = encoded(Image.new("L", (50, 40), 200))
    assert np.all(in_grey(plain, RESIZE) == 200), "a picture without a foreground is one, too"


def test_grey_pictures_for_a_network_of_colour_and_coloured_ones_for_one_of_grey():
    grey = np.uint8(np.arange(32 * 24).reshape(32, 24) % 256)
    for image in (Image.fromarray(grey), Image.fromarray(grey.astype(np.uint16) * 257)):
        prepared = decode.prepare(encoded(image), COLOUR)
        assert np.array_equal(prepared, np.stack([grey] * 3, axis=-1))
    colours = gradients(28, 28)
    luminance = np.rint(colours @ np.array([0.299, 0.587, 0.114]))
    assert np.abs(in_grey(encoded(Image.fromarray(colours)), RESIZE) - luminance).max() <= 1


def test_transparent_pixels_are_black_and_do_not_bleed():
    rgba = np.zeros((64, 48, 4), np.uint8)
    rgba[..., 0] = 255  # red where it cannot be seen
    rgba[:, 24:] = (0, 0, 200, 255)
    for preprocess, step in (("resize", 1), ("none", 2)):
        prepared = decode.prepare(encoded(Image.fromarray(rgba[::step, ::step])), Preparation(preprocess, (32, 24, 3)))
        assert prepared[..., 0].max() == 0 and np.all(prepared[:, :11] == 0) and np.all(prepared[:, 13:, 2] == 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_exif_is_applied_to_whole_pictures(orientation):
    upright = Image.fromarray(gradients(32, 24))
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = upright.transpose(image_files.UPRIGHT[undo]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[image_files.ORIENTATION] = orientation
    for preprocess in ("resize", "none"):
        prepared = decode.prepare(encoded(stored, exif=exif), Preparation(preprocess, (32, 24, 3)))
        assert np.array_equal(prepared, gradients(32, 24))


def test_an_image_of_pillow_is_prepared_like_its_file_and_not_changed(digits):
    image = Image.fromarray(larger(digits[7], np.random.default_rng(0)))
    before = np.asarray(image).copy()
    for preparation in (MNIST, FIT, RESIZE, COLOUR):
        assert np.array_equal(decode.prepare(image, preparation), decode.prepare(encoded(image), preparation))
    assert np.array_equal(np.asarray(image), before) and image.mode == "L"


def test_networks_of_large_images_get_all_pixels():
    noise = np.random.default_rng(0).integers(0, 256, (600, 500), np.uint8)
    for preprocess in ("none", "resize"):
        prepared = in_grey(encoded(Image.fromarray(noise)), Preparation(preprocess, (600, 500, 1)))
        assert np.array_equal(prepared, noise)
    disc = Image.new("L", (1200, 1200))
    ImageDraw.Draw(disc).ellipse((300, 300, 900, 900), fill=255)
    fitted = in_grey(encoded(disc), Preparation("fit", (600, 600, 1)))
    assert (fitted > 127).mean() == pytest.approx(np.pi / 4, abs=0.02)


def test_folders_are_read_in_sorted_order_with_their_subfolders(tmp_path):
    for name in ("b.png", "a/2.JPG", "a/1.webp", "a/notes.txt", ".hidden.png", "c/none.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    folder = str(tmp_path)
    paths = [source.file for source in reader.find([folder, f"{folder}/a/notes.txt", f"{folder}/c"])]
    assert [os.path.relpath(path, folder) for path in paths] == ["a/1.webp", "a/2.JPG", "b.png", "a/notes.txt", "c"]
    assert "holds no image files" in str(next(reader.find([f"{folder}/c"])).error)


def test_reading_pictures_imports_no_tensorflow():
    code = "import sys; from estimator_mnist.predict.pictures import reader; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


ORIGINALS: List[bytes] = []


def originals(digits) -> List[bytes]:
    if not ORIGINALS:
        image = Image.fromarray(digits[0]).resize((60, 60))
        ORIGINALS.extend(encoded(image.convert("RGB"), format) for format in image_files.FORMATS)
        ORIGINALS.append(encoded(image.convert("P"), "GIF", save_all=True, append_images=[image.convert("P")]))
        ORIGINALS.append(encoded(with_alpha(np.asarray(image), np.asarray(image))))
        ORIGINALS.append(encoded(image.convert("CMYK"), "JPEG", progressive=True, exif=Image.Exif()))
    return ORIGINALS


@settings(
    max_examples=1500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_damaged_files_never_raise_anything_else(digits, data):
    content = bytearray(data.draw(st.sampled_from(originals(digits))))
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "noise"]))
    if kind == "noise":
        content = bytearray(data.draw(st.sampled_from([b"", *(bytes(content[:n]) for n in (4, 12, 30))])))
        content += data.draw(st.binary(max_size=200))
    elif kind == "cut":
        del content[data.draw(st.integers(0, len(content))) :]
    else:
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
            content[place : place + (kind == "flip")] = bytes([data.draw(st.integers(0, 255))])
    try:
        preparation = data.draw(st.sampled_from([MNIST, COLOUR]))
        image = decode.prepare(bytes(content), preparation)
        assert image.shape == preparation.image_shape and image.dtype == np.uint8
    except ImageFileError as error:
        assert str(error) and len(str(error).splitlines()) == 1
