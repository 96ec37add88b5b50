"""What a sweep is: the lists and ranges of its flags, and the settings that are made of them."""

import hashlib
import itertools
import json
import math
import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from estimator_mnist.config.experiment import MAY_CHANGE, replace_file
from input_fns import InputError

FILE_NAME = "sweep.json"
MOST_RUNS = 100_000
DRAWS = 50  # for each setting wanted, before a space is taken for exhausted
Setting = Tuple[Tuple[str, str], ...]  # (flag, value as text) of each flag that varies, the seed apart


class Range(NamedTuple):
    """LOW..HIGH, drawn evenly, or log:LOW..HIGH, drawn evenly in the logarithm; both ends are possible."""

    low: float
    high: float
    log: bool
    whole: bool

    def __str__(self) -> str:
        return f"{'log:' if self.log else ''}{self.text(self.low)}..{self.text(self.high)}"

    def value(self, share: float) -> float:
        """Returns the value, not yet rounded, that so large a share (0 to 1) of all draws lies below."""
        beyond = 0.5 if self.whole else 0.0  # so that the ends are drawn as often as what lies between
        low, high = self.low - beyond, self.high + beyond
        return low * (high / low) ** share if self.log else low + share * (high - low)

    def text(self, value: float) -> str:
        """Returns a value as a flag takes it: of four digits, for names and eyes, and within the range."""
        rounded = round(value) if self.whole else float(f"{value:.4g}")
        within = min(max(rounded, self.low), self.high)
        return str(int(within) if self.whole else float(within))


@dataclass(frozen=True)
class Space:
    """What a sweep is, as it is kept in sweep.json."""

    search: str
    samples: Optional[int]  # settings of a search; None for a grid
    fixed: Dict[str, str]  # flags of one value
    lists: Dict[str, List[str]]  # flags of several values; model and seed always
    ranges: Dict[str, Range]

    @property
    def seeds(self) -> List[str]:
        return self.lists["seed"]

    @property
    def varied(self) -> Dict[str, Union[List[str], Range]]:
        """The values of each flag that makes a setting, by name: all but the seed."""
        return {**{name: values for name, values in self.lists.items() if name != "seed"}, **self.ranges}

    def check_samples(self) -> None:
        """Raises InputError if lists alone make fewer settings than a search is to try."""
        count = math.prod(len(values) for name, values in self.lists.items() if name != "seed")
        if not self.ranges and (self.samples or 0) > count:
            raise InputError(f"--samples: {self.samples} are more than the {count} settings that the lists make")

    def settings(self) -> List[Setting]:
        """Returns the settings of a grid, or those drawn at random: the first are the same however many are drawn.

        Raises:
            InputError: There are not so many.
        """
        if self.search == "grid":
            count = math.prod(map(len, self.lists.values()))
            if count > MOST_RUNS:
                raise InputError(f"sweep: the lists make {count:,} runs, more than {MOST_RUNS:,}; use --samples")
            columns = [[(name, text) for text in values] for name, values in self.lists.items() if name != "seed"]
            return list(itertools.product(*columns))
        samples = self.samples or 0
        found: Dict[Setting, None] = {}
        for setting in itertools.islice(self._draws(), DRAWS * samples):
            found[setting] = None
            if len(found) == samples:
                return list(found)
        raise InputError(f"--samples: {samples} are too many; {DRAWS * samples} draws gave {len(found)} settings")

    def _draws(self) -> Iterator[Setting]:
        drawing = random.Random(0)
        while True:
            yield tuple((name, _draw(values, drawing.random())) for name, values in self.varied.items())

    def corners(self) -> List[Setting]:
        """Returns settings in which each value of a list and each end of a range comes up."""
        ends = {
            name: [values.text(values.low), values.text(values.high)] if isinstance(values, Range) else values
            for name, values in self.varied.items()
        }
        first = {name: values[0] for name, values in ends.items()}
        every = [{**first, name: value} for name, values in ends.items() for value in values]
        return list(dict.fromkeys(tuple(setting.items()) for setting in every))

    def default_folder(self) -> Path:
        """Returns runs/sweeps/<dataset>-<model>-<flags that vary>, the same when seeds or values are added."""
        parts = [self.fixed.get("dataset", "mnist"), self.lists["model"][0]]
        parts[1:] = ["model"] if len(self.lists["model"]) > 1 else parts[1:]
        parts += [name for name in self.varied if name not in ("model", "dataset")]
        parts += [self.search] if self.search != "grid" else []
        return Path("runs") / "sweeps" / _file_name("-".join(parts))

    def write(self, folder: Path) -> None:
        replace_file(folder / FILE_NAME, json.dumps(asdict(self), indent=1) + "\n")

    def check_extends(self, folder: Path) -> None:
        """Raises InputError if a folder holds another sweep than this or a part of it."""
        path = folder / FILE_NAME
        try:
            values = json.loads(path.read_text())
            values["ranges"] = {name: Range(*parts) for name, parts in values["ranges"].items()}
            stored = Space(**values)
            differences = self._not_extended(stored)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: holds no sweep ({error}); name another --sweep_dir") from error
        if differences:
            raise InputError(
                f"--sweep_dir {folder}: holds another sweep: {'; '.join(differences)}; name all that it holds and what "
                "is new, or another --sweep_dir"
            )

    def _not_extended(self, stored: "Space") -> List[str]:
        """Returns what the stored sweep has and this one not.

        May grow: all lists of a grid; the seeds of a random search, but not of Optuna's, which has judged settings by
        the mean over them; the samples of both.
        """
        if self.search != stored.search:
            return [f"its --search is {stored.search}"]
        found = []
        ours, theirs = self._texts(), stored._texts()
        for name in sorted((set(ours) | set(theirs)) - MAY_CHANGE):
            may_grow = self.search == "grid" or (name == "seed" and self.search == "random")
            grown = may_grow and set(stored.lists.get(name, ["-"])) <= set(self.lists.get(name, []))
            if not grown and ours.get(name) != theirs.get(name):
                found.append(f"its --{name} is {theirs.get(name, 'not given')}")
        if (self.samples or 0) < (stored.samples or 0):
            found.append(f"its --samples is {stored.samples}")
        return found

    def _texts(self) -> Dict[str, str]:
        lists = {name: ",".join(values) for name, values in self.lists.items()}
        return {**self.fixed, **lists, **{name: str(values) for name, values in self.ranges.items()}}


def name(setting: Setting, seed: str) -> str:
    """Returns the name of a run's folder: the model, the values of what varies, and the seed."""
    values = dict(setting)
    parts = [values.pop("model"), *(f"{flag}={value}" for flag, value in values.items()), f"seed={seed}"]
    return _file_name(",".join(parts))


def _file_name(text: str) -> str:
    text = re.sub(r"[^\w.,=+-]", "_", text)
    return text if len(text) <= 200 else f"{text[:180]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _draw(values: Union[List[str], Range], share: float) -> str:
    if isinstance(values, Range):
        return values.text(values.value(share))
    return values[int(share * len(values))]
