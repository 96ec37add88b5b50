"""How time and memory grow with the data, the batch size and the length of a run. Each run is a separate process.

    bash run.sh benchmark growth [--quick] [--only examples,batch,epochs] [--folder DIR] [--out DIR]

    examples    dense on 1, 10 and 100 times MNIST, as IDX files that repeat it
    batch       images per second and memory at batch sizes of 32 to 4,096
    epochs      dense for 1 to 100 epochs: time, memory, size of the event files

If 100 times MNIST does not fit on the disk or in memory, 30 times is measured instead, and the output says so.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
from tabulate import tabulate

import input_fns
from benchmarks.processes import as_command, pyplot, run, say, update_json
from estimator_mnist.system import command_name
from estimator_mnist.system.interpreter import module_command
from input_fns.sources import idx

MB = 10**6
# (full, quick)
TIMES = ("1,10,100", "1,3")
EXAMPLES_STEPS = (3000, 300)
BATCHES = ((32, 128, 512, 2048, 4096), (32, 512))
BATCH_IMAGES = {"dense": (600_000, 60_000), "conv": (40_000, 3_000)}  # trained on, in at least six steps
EPOCHS = ((1, 10, 30, 100), (1, 3))
Row = Dict[str, Any]


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog=f"{command_name.text()} benchmark growth", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="runs of a minute in total, to see that it works")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run: examples, batch, epochs")
    parser.add_argument("--times", help="sizes for examples, as multiples of MNIST (1,10,100)")
    parser.add_argument("--steps", type=int, help="training steps of each run of examples (3000)")
    parser.add_argument("--folder", help="where the large temporary files go; default: the folder for temporary files")
    parser.add_argument("--out", default="runs/benchmark", help="the folder of the JSON and the picture")
    options = parser.parse_args(argv)
    parts = options.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only: name some of {', '.join(PARTS)}")
    options.times = [int(count) for count in (options.times or TIMES[options.quick]).split(",")]
    options.steps = options.steps or EXAMPLES_STEPS[options.quick]
    data = input_fns.find(input_fns.Request("mnist", "tfds"))
    rows: Dict[str, List[Row]] = {}
    for signum in (signal.SIGINT, signal.SIGTERM):  # raises an exception, so that the large files are deleted
        signal.signal(signum, lambda signum, frame: sys.exit(128 + signum))
    with tempfile.TemporaryDirectory(prefix="growth-", dir=options.folder) as scratch:
        for name in parts:
            rows[name] = PARTS[name](data, Path(scratch), options)
            print("\n" + tabulate(rows[name], "keys", floatfmt=",.2f", intfmt=",") + "\n", flush=True)
    out = Path(options.out).resolve()
    all_rows = update_json(out / "growth.json", rows)
    _draw(all_rows, out / "growth.png")
    print(f"{out / 'growth.json'}  {out / 'growth.png'}")
    return 0


def _examples(data: input_fns.Data, scratch: Path, options: argparse.Namespace) -> List[Row]:
    rows: List[Row] = []
    for times in _that_fit(options.times, data.train, scratch):
        folder = scratch / "idx"
        _tile(data, folder, times)
        input_fns.find(input_fns.Request("mnist", "idx", idx_dir=str(folder)))  # decoded before the first run's clock
        for input in ("indexed", "stream"):
            flags = ["--source", "idx", "--idx_dir", folder, "--input", input, "--train_steps", options.steps]
            row = {"times MNIST": times, "split, MB": (folder / TRAIN_IMAGES).stat().st_size / MB, "--input": input}
            rows.append({**row, **_run(scratch, "--model", "dense", "--evals", 1, *flags)})
            smallest = next(row for row in rows if row["--input"] == input)
            if times != smallest["times MNIST"]:
                added_megabytes = rows[-1]["split, MB"] - smallest["split, MB"]
                rows[-1]["memory per byte of data"] = (rows[-1]["peak, MB"] - smallest["peak, MB"]) / added_megabytes
        shutil.rmtree(folder)
    return rows


def _batch(data: input_fns.Data, scratch: Path, options: argparse.Namespace) -> List[Row]:
    rows = []
    for model, images in BATCH_IMAGES.items():
        for batch in BATCHES[options.quick]:
            flags = ["--batch_size", batch, "--train_steps", max(6, images[options.quick] // batch), "--evals", 1]
            rows.append({"model": model, "batch": batch, **_run(scratch, "--model", model, "--source", "tfds", *flags)})
    return rows


def _epochs(data: input_fns.Data, scratch: Path, options: argparse.Namespace) -> List[Row]:
    return [
        {"epochs": epochs, **_run(scratch, "--model", "dense", "--source", "tfds", "--train_epochs", epochs)}
        for epochs in EPOCHS[options.quick]
    ]


PARTS: Dict[str, Callable[[input_fns.Data, Path, argparse.Namespace], List[Row]]] = {
    "examples": _examples,
    "batch": _batch,
    "epochs": _epochs,
}
TRAIN_IMAGES = idx.FILE_NAMES["train", "images"]


def _run(scratch: Path, *flags: object) -> Row:
    """Runs the main job in a fresh process and model_dir, and returns its figures."""
    model_dir = scratch / "run"
    finished = run(module_command("estimator_mnist", *flags, "--model_dir", model_dir))
    results = json.loads((model_dir / "results.json").read_text())
    events = sum(path.stat().st_size for path in model_dir.rglob("*tfevents*"))
    all_files = sum(path.stat().st_size for path in model_dir.rglob("*") if path.is_file())
    shutil.rmtree(model_dir)
    say(f"{' '.join(map(str, flags))}: {finished.seconds:.1f} s, {finished.peak_bytes / MB:,.0f} MB at peak")
    return {
        "steps": results["global_step"],
        "seconds": finished.seconds,
        "to first step, s": results["seconds"]["to_first_step"],
        "training, s": results["seconds"]["training"],
        "images/s": round(results["images_per_second"]),
        "peak, MB": finished.peak_bytes / MB,
        "events, MB": events / MB,
        "model_dir, MB": all_files / MB,
    }


def _that_fit(times: List[int], split: input_fns.Split, scratch: Path) -> List[int]:
    """Returns the sizes that fit on the disk and in memory, with 30 in place of a largest one that does not fit."""
    assert split.images is not None
    size = split.images.stat().st_size
    free_disk = shutil.disk_usage(scratch).free
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    room = min(free_disk / 2, memory)  # on the disk are the IDX files and the decoded arrays

    def fits(count: int) -> bool:
        return count * size + 2 * 10**9 < room

    if not fits(times[-1]):
        print(f"{times[-1]} times MNIST does not fit on the disk or in memory: 30 times is measured instead")
        times = [*times[:-1], 30]
    return [count for count in times if fits(count)]


def _tile(data: input_fns.Data, folder: Path, times: int) -> None:
    """Writes MNIST as IDX files whose training split repeats it `times` times."""
    folder.mkdir()
    for (split, kind), name in idx.FILE_NAMES.items():
        images, labels = getattr(data, split).arrays()
        content = idx.to_bytes(images[..., 0] if kind == "images" else labels)
        header = np.frombuffer(content[: idx.HEADER[kind]], ">i4").copy()
        repeats = times if split == "train" else 1
        header[1] *= repeats
        with open(folder / name, "wb") as file:
            file.write(header.tobytes())
            for _ in range(repeats):
                file.write(memoryview(content)[idx.HEADER[kind] :])


def _draw(rows_of_parts: Dict[str, List[Row]], path: Path) -> None:
    plots = pyplot()
    # part, the column that distinguishes its curves, x, upper y, lower y
    columns = [
        ("examples", "--input", "split, MB", "to first step, s", "peak, MB"),
        ("batch", "model", "batch", "images/s", "peak, MB"),
        ("epochs", "", "epochs", "seconds", "peak, MB"),
    ]
    columns = [column for column in columns if column[0] in rows_of_parts]
    size = (16 / 3 * len(columns), 8)
    figure, axes = plots.subplots(2, len(columns), figsize=size, layout="constrained", squeeze=False)
    for column, (part, curve, x, *ys) in enumerate(columns):
        rows = rows_of_parts[part]
        for row_number, y in enumerate(ys):
            plot = axes[row_number][column]
            for name in dict.fromkeys(str(row.get(curve, "dense")) for row in rows):
                points = [(row[x], row[y]) for row in rows if str(row.get(curve, "dense")) == name]
                plot.plot(*zip(*points), "o-", label=name)
            plot.set(xlabel=x, ylabel=y, title=part)
            if y == "images/s":  # dense and conv are two orders of magnitude apart
                plot.set_yscale("log")
            else:
                plot.set_ylim(0, 1.1 * max(row[y] for row in rows))
            plot.grid(alpha=0.3)
            if part == "batch":
                plot.set_xscale("log", base=2)
            plot.legend()
    figure.savefig(path, dpi=110)
    plots.close(figure)


if __name__ == "__main__":
    sys.exit(main())
