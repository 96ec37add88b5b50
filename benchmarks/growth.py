"""How time and memory grow with the data, the batch and the length of a run: each run a process of its own.

    bash run.sh benchmark growth [--quick] [--only examples,batch,epochs] [--folder DIR] [--out DIR]

    examples    dense on 1, 10 and 100 times MNIST, as IDX files that hold it over and over
    batch       images per second and memory at batches of 32 to 4,096
    epochs      dense for 1 to 100 epochs: time, memory, size of the event files

Where 100 times does not fit on the disk or in memory, 30 times takes its place, and the output says so.
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
from benchmarks.processes import as_command, module, pyplot, run, say, update_json
from input_fns.sources import idx

MB = 10**6
# (full, quick)
TIMES = ("1,10,100", "1,3")
EXAMPLES_STEPS = (3000, 300)
BATCHES = ((32, 128, 512, 2048, 4096), (32, 512))
BATCH_IMAGES = {"dense": (600_000, 60_000), "conv": (40_000, 3_000)}  # trained on, at least six steps
EPOCHS = ((1, 10, 30, 100), (1, 3))
Row = Dict[str, Any]


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="bash run.sh benchmark growth", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a minute's worth, to see that it works")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, of examples, batch and epochs")
    parser.add_argument("--times", help="sizes of examples, in times MNIST (1,10,100)")
    parser.add_argument("--steps", type=int, help="of each run of examples (3000)")
    parser.add_argument("--folder", help="where the large files go for a while; default: a temporary folder")
    parser.add_argument("--out", default="runs/benchmark", help="where the JSON and the picture go")
    options = parser.parse_args(argv)
    parts = options.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only: name some of {', '.join(PARTS)}")
    options.times = [int(count) for count in (options.times or TIMES[options.quick]).split(",")]
    options.steps = options.steps or EXAMPLES_STEPS[options.quick]
    data = input_fns.find("mnist", "tfds")
    found: Dict[str, List[Row]] = {}
    for number in (signal.SIGINT, signal.SIGTERM):  # as an exception, so that the large files are deleted
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="growth-", dir=options.folder) as scratch:
        for name in parts:
            found[name] = PARTS[name](data, Path(scratch), options)
            print("\n" + tabulate(found[name], "keys", floatfmt=",.2f", intfmt=",") + "\n", flush=True)
    out = Path(options.out).resolve()
    everything = update_json(out / "growth.json", found)
    _draw(everything, out / "growth.png")
    print(f"{out / 'growth.json'}  {out / 'growth.png'}")
    return 0


def _examples(data: input_fns.Data, scratch: Path, options: argparse.Namespace) -> List[Row]:
    rows: List[Row] = []
    for times in _that_fit(options.times, data.train, scratch):
        folder = scratch / "idx"
        _tile(data, folder, times)
        for input in ("indexed", "stream"):
            flags = ["--source", "idx", "--idx_dir", folder, "--input", input, "--train_steps", options.steps]
            row = {"times MNIST": times, "split, MB": (folder / TRAIN_IMAGES).stat().st_size / MB, "--input": input}
            rows.append({**row, **_run(scratch, "--model", "dense", "--evals", 1, *flags)})
            first = next(row for row in rows if row["--input"] == input)
            if times != first["times MNIST"]:
                further = rows[-1]["split, MB"] - first["split, MB"]
                rows[-1]["memory per byte of data"] = (rows[-1]["peak, MB"] - first["peak, MB"]) / further
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
    """Runs the main job in a process and a model_dir of its own, and returns what it took."""
    model_dir = scratch / "run"
    done = run(module("estimator_mnist", *flags, "--model_dir", model_dir))
    results = json.loads((model_dir / "results.json").read_text())
    events = sum(path.stat().st_size for path in model_dir.rglob("*tfevents*"))
    everything = sum(path.stat().st_size for path in model_dir.rglob("*") if path.is_file())
    shutil.rmtree(model_dir)
    say(f"{' '.join(map(str, flags))}: {done.seconds:.1f} s, {done.peak_bytes / MB:,.0f} MB at most")
    return {
        "steps": results["global_step"],
        "seconds": done.seconds,
        "to first step, s": results["seconds"]["to_first_step"],
        "training, s": results["seconds"]["training"],
        "images/s": round(results["images_per_second"]),
        "peak, MB": done.peak_bytes / MB,
        "events, MB": events / MB,
        "model_dir, MB": everything / MB,
    }


def _that_fit(times: List[int], split: input_fns.Split, scratch: Path) -> List[int]:
    """Returns the sizes that disk and memory hold, with 30 in place of the largest where that is too large."""
    assert split.images is not None
    size = split.images.stat().st_size
    disk = shutil.disk_usage(scratch).free
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    room = min(disk, memory / 2)  # the page cache holds the file beside the copy of the process

    def fits(count: int) -> bool:
        return count * size + 2 * 10**9 < room

    if not fits(times[-1]):
        print(f"{times[-1]} times MNIST does not fit on the disk or in memory: 30 times takes its place")
        times = [*times[:-1], 30]
    return [count for count in times if fits(count)]


def _tile(data: input_fns.Data, folder: Path, times: int) -> None:
    """Writes MNIST as IDX files whose training split holds it so many times."""
    folder.mkdir()
    for (split, kind), name in idx.FILE_NAMES.items():
        path = getattr(getattr(data, split), kind)
        if split == "test":
            shutil.copy(path, folder / name)
            continue
        content = path.read_bytes()
        header = np.frombuffer(content[: idx.HEADER[kind]], ">i4").copy()
        header[1] *= times
        with open(folder / name, "wb") as file:
            file.write(header.tobytes())
            for _ in range(times):
                file.write(memoryview(content)[idx.HEADER[kind] :])


def _draw(found: Dict[str, List[Row]], path: Path) -> None:
    plots = pyplot()
    # part, what tells its curves apart, x, y above, y below
    columns = [
        ("examples", "--input", "split, MB", "to first step, s", "peak, MB"),
        ("batch", "model", "batch", "images/s", "peak, MB"),
        ("epochs", "", "epochs", "seconds", "peak, MB"),
    ]
    columns = [column for column in columns if column[0] in found]
    size = (16 / 3 * len(columns), 8)
    figure, axes = plots.subplots(2, len(columns), figsize=size, layout="constrained", squeeze=False)
    for column, (part, curve, x, *ys) in enumerate(columns):
        rows = found[part]
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
