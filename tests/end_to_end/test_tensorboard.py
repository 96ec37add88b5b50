"""TensorBoard in a browser: every tab shows the data that the runs wrote for it, and no request leaves the machine."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from support import PATIENCE, ROOT, end, start, wait_until

from estimator_mnist.system.interpreter import module_command

playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
from playwright.sync_api import Browser, Page, expect  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium (Debian: apt-get install chromium)")
RUNS = {
    "digits-dense": ["--model", "dense", "--train_steps", "126", "--evals", "3"],
    "digits-lenet5": ["--model", "lenet5", "--train_steps", "40", "--evals", "2"],
}
MAX_BYTES = 20_000_000  # what a default run may leave for TensorBoard


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tensorboard") / "runs"
    folder.mkdir()
    for name, flags in RUNS.items():
        code, _, err = end(start(folder / name, "--source", "sample", *flags))
        assert code == 0, err
    return folder


@pytest.fixture(scope="module")
def address(runs: Path, tmp_path_factory) -> Iterator[str]:
    """The address at which TensorBoard answers: a free port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = module_command("estimator_mnist", "tensorboard", "--logdir", runs, "--port", port)
    log = tmp_path_factory.mktemp("log") / "tensorboard.txt"
    with open(log, "w") as output:
        process = subprocess.Popen(words, cwd=ROOT, env=os.environ, stdout=output, stderr=output)
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_until(answers, every=0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as player:
        # Chromium's sandbox does not work for root, and CI often runs as root. Only this project's pages are opened.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = player.chromium.launch(executable_path=BROWSER, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A new page. Asserts, after the test, that it requested nothing from another address."""
    page, requested = browser.new_page(viewport={"width": 1500, "height": 1400}), []
    page.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    page.on("request", lambda request: requested.append(request.url))
    yield page
    page.close()
    assert requested and all(url.startswith((address, "data:", "blob:")) for url in requested)


def test_scalars_show_all_runs(page: Page, address: str):
    page.goto(f"{address}/#scalars&tagFilter=%5E(loss%7Caccuracy%7Clearning_rate%7Cimages_per_second)%24")
    for run in RUNS:
        expect(page.get_by_text(run, exact=True).first).to_be_visible()
        expect(page.get_by_text(f"{run}/eval_test", exact=True).first).to_be_visible()
    results = page.locator("tf-category-paginated-view").first
    expect(results.locator("tf-scalar-card")).to_have_count(4)
    lines = results.locator("tf-scalar-card", has_text="loss").locator("vz-line-chart2 svg path")
    expect(lines.first).to_be_attached()
    points_of_lines = [re.findall(r"[ML]", line.get_attribute("d") or "") for line in lines.all()]
    assert sum(len(points) >= 2 for points in points_of_lines) >= 4, "training and test of both runs"


def test_all_images_load_completely(page: Page, address: str):
    page.goto(f"{address}/#images&tagFilter=.")
    results = page.locator("tf-category-paginated-view").first
    images = results.locator("tf-image-loader img")
    names = ("confusion_matrix", "mistakes", "reliability", "filters")
    expect(images).to_have_count(len(names) * len(RUNS))
    for name in names:
        expect(results.locator("tf-image-loader", has_text=name)).to_have_count(len(RUNS))
    for image in images.all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 100", arg=image.element_handle())


def test_each_class_has_a_pr_curve(page: Page, address: str):
    page.goto(f"{address}/#pr_curves")
    expect(page.locator("tf-pr-curve-card")).to_have_count(10)
    for digit in (0, 9):
        card = page.locator("tf-pr-curve-card", has_text=f"pr_curve/{digit}")
        expect(card.locator("vz-line-chart2 path").first).to_be_attached()
        for run in RUNS:
            expect(card.get_by_text(f"{run}/eval_test").first).to_be_attached()


def test_weights_and_gradients_have_histograms(page: Page, address: str):
    page.goto(f"{address}/#histograms&tagFilter=.")
    for tag in ("gradients/dense1/kernel", "weights/dense1/kernel", "gradients/c1/kernel", "weights/logits/bias"):
        card = page.locator("tf-histogram-loader", has_text=tag).first
        card.scroll_into_view_if_needed()
        expect(card.locator("vz-histogram-timeseries svg path").first).to_be_attached()


def test_hparams_lists_all_runs_in_one_table(page: Page, address: str):
    page.goto(f"{address}/#hparams")
    table = page.locator("tf-hparams-table-view")
    for text in (*RUNS, "batch_size", "test accuracy"):  # at first the table shows five columns, in alphabetical order
        expect(table.get_by_text(text, exact=True).first).to_be_visible()
    for name in ("dropout_rate", "learning_rate", "optimizer", "seed", "model"):
        expect(page.locator("tf-hparams-query-pane").get_by_text(name, exact=True).first).to_be_attached()


def test_custom_scalars_put_training_and_test_in_one_chart(page: Page, address: str):
    page.goto(f"{address}/#custom_scalars")
    for title, lines in (("loss", 4), ("accuracy", 4)):
        card = page.locator("tf-custom-scalar-multi-line-chart-card").filter(has=page.get_by_text(title, exact=True))
        expect(card.get_by_text(f"Matches ({lines})")).to_be_visible()
    expect(page.get_by_text("test accuracy of each class")).to_be_visible()


def test_the_projector_shows_the_test_split(page: Page, address: str):
    with page.expect_response(re.compile("projector/sprite_image")) as sprite:
        page.goto(f"{address}/#projector")
    assert sprite.value.ok and "last" in sprite.value.url
    projector = page.frame_locator("iframe").frame_locator("iframe")
    expect(projector.get_by_text("Points: 1000").first).to_be_visible()


def test_the_report_opens_from_disk_in_light_and_dark_mode_and_on_a_narrow_screen(browser: Browser, runs: Path):
    def brightness(page: Page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    backgrounds = []
    for scheme, width in (("light", 1100), ("dark", 1100), ("light", 390)):
        report, requested = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme), []
        report.on("request", lambda request, requested=requested: requested.append(request.url))
        report.goto((runs / "digits-dense" / "report.html").as_uri())
        assert len([url for url in requested if not url.startswith("data:")]) == 1
        assert report.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
        assert report.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        backgrounds.append(brightness(report))
        if scheme == "dark":
            report.emulate_media(media="print", color_scheme="dark")
            assert brightness(report) == 3 * 255, "printed on white"
        report.close()
    assert backgrounds[0] == backgrounds[2] == 3 * 255 and backgrounds[1] < 150


def test_the_files_for_tensorboard_stay_small(runs: Path):
    """The projector's files count tenfold: they grow with the test images, 1,000 here and 10,000 in a default run."""
    for name in RUNS:
        files = [*(runs / name).glob("events*"), *(runs / name / "eval_test").iterdir()]
        projector = sum(path.stat().st_size for path in (runs / name / "projector").iterdir())
        assert sum(path.stat().st_size for path in files) + 10 * projector < MAX_BYTES
