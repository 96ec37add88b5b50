"""Trains the same short runs with two checkouts of this project and compares their final checkpoints, bit by bit.

    bash run.sh benchmark checkouts --before DIR [--after DIR] [--only WORD] [--folder DIR]

For a change that must not alter results, such as moving code. Each checkout needs its own .venv, or a link to one.
Runs of `before` that are finished below --folder are not repeated, so that they serve several comparisons.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from tqdm import tqdm

from benchmarks.faults import differences, end_of
from benchmarks.processes import as_command, run_together, say
from estimator_mnist.system import command_name
from estimator_mnist.system.child_processes import Program, exit_reason
from estimator_mnist.system.interpreter import ROOT
from input_fns import InputError

SHORT = "--source sample --train_steps 300"
RECIPES = ("default", "notebook", "fast", "best")
TIMEOUT_SECONDS = 900
CASES: Dict[str, str] = {
    **{f"{model} {recipe}": f"--model {model} --recipe {recipe}" for model in ("dense", "conv") for recipe in RECIPES},
    **{f"lenet5 {recipe}": f"--model lenet5 --recipe {recipe}" for recipe in RECIPES},
    # The largest network trains for a fifth of the steps.
    **{f"conv_plain {recipe}": f"--model conv_plain --recipe {recipe} --train_steps 60" for recipe in RECIPES},
    "lenet5 paper": "--model lenet5 --recipe paper",
    "lenet5 paper, loss mse": "--model lenet5 --recipe paper --loss mse --batch_size 8",
    "lenet5 1998, adam": "--model lenet5 --lenet5_form 1998 --optimizer adam --loss map",
    "dense, odd batches": "--model dense --batch_size 37 --dropout_rate 0.3",
    "conv, odd batches": "--model conv --batch_size 37 --train_steps 120",
    "dense, affine": "--model dense --augment affine",
    "dense, paper's distortions": "--model dense --augment paper --augment_strength 1.5",
    "dense, mirror": "--model dense --augment mirror",
    "conv, elastic": "--model conv --augment elastic",
    "conv, batch normalisation": "--model conv --batch_norm",
    "conv, batch normalisation, strides": "--model conv --batch_norm --downsample stride --batch_size 50",
    "dense, average": "--model dense --average_decay 0.99",
    "conv, average and batch normalisation": "--model conv --average_decay 0.99 --batch_norm",
    "dense, label smoothing": "--model dense --label_smoothing 0.1",
    "dense, momentum, cosine": "--model dense --optimizer momentum --learning_rate_schedule cosine",
    "dense, sgd": "--model dense --optimizer sgd --learning_rate 0.05",
    "dense, numpy": "--model dense --input numpy",
    "dense, stream": "--model dense --input stream",
    "dense, validation": "--model dense --validation_size 500",
    "dense, one step a call": "--model dense --iterations_per_loop 1 --train_steps 100",
    "dense, two replicas": "--model dense --strategy mirrored --replicas 2 --train_steps 100",
    **{
        f"{model}, two workers": f"cluster --workers 2 --model {model} --train_steps {steps}"
        for model, steps in (("dense", 300), ("conv", 100), ("conv_plain", 30), ("lenet5", 100))
    },
    "lenet5 paper, two workers": "cluster --workers 2 --model lenet5 --recipe paper --batch_size 8 --train_steps 100",
}


@as_command
def main(argv: Optional[List[str]] = None) -> int:
    """Runs the comparison and returns 0 if every variable and figure is equal to the bit."""
    parser = argparse.ArgumentParser(
        prog=f"{command_name.text()} benchmark checkouts", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--before", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--after", type=Path, default=ROOT, help="the changed checkout; default: this one")
    parser.add_argument("--only", default="", help="only the runs whose names contain this text")
    parser.add_argument("--folder", type=Path, help="where the runs live; default: a temporary folder")
    options = parser.parse_args(argv)
    for checkout in (options.before, options.after):
        if not (checkout / "run.sh").is_file():
            raise InputError(f"{checkout}: is no checkout of this project, for it holds no run.sh")
    cases = {name: flags for name, flags in CASES.items() if options.only in name}
    with tempfile.TemporaryDirectory() as scratch:
        return _compare(cases, options.before, options.after, (options.folder or Path(scratch)).resolve())


def _compare(cases: Dict[str, str], before: Path, after: Path, folder: Path) -> int:
    differing: List[str] = []
    for name, flags in tqdm(cases.items(), disable=not sys.stderr.isatty()):
        folder_name = name.replace(" ", "-").replace(",", "").replace("'", "")
        expected = end_of(_trained(before, flags, folder / "before" / folder_name))
        model_dir = folder / "after" / folder_name
        shutil.rmtree(model_dir, ignore_errors=True)
        different = differences(end_of(_trained(after, flags, model_dir)), expected)
        if different:
            differing.append(name)
        print(f"{name}: {'DIFFERENT: ' + ', '.join(different) if different else 'equal'}", flush=True)
    print(f"{len(cases) - len(differing)} of {len(cases)} runs ended equal, every variable and figure, to the bit")
    return 1 if differing else 0


def _trained(checkout: Path, flags: str, model_dir: Path) -> Path:
    """Trains a run to its end, unless it is finished, and returns its model_dir."""
    if (model_dir / "results.json").is_file():
        return model_dir
    model_dir.parent.mkdir(parents=True, exist_ok=True)
    command, *rest = flags.split() if flags.startswith("cluster") else ["train", *flags.split()]
    words = ["bash", str(checkout / "run.sh"), command, *SHORT.split(), *rest, "--model_dir", str(model_dir)]
    (finished,) = run_together([Program(words)], TIMEOUT_SECONDS)
    if finished.exit_code:
        say(f"{' '.join(words)}: {exit_reason(finished.exit_code)}\n{finished.stdout[-1000:]}{finished.stderr[-1000:]}")
        raise SystemExit(1)
    return model_dir


if __name__ == "__main__":
    sys.exit(main())
