"""The definition of a sweep: the lists and ranges of its flags, and the settings that they contain."""

import hashlib
import itertools
import json
import math
import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from estimator_mnist import user_code
from estimator_mnist.config.fields import MAY_CHANGE
from estimator_mnist.system import json_records
from estimator_mnist.system.json_records import RecordError
from estimator_mnist.system.paths import replace_file
from input_fns import InputError

FILE_NAME = "sweep.json"
MAX_RUNS = 100_000
MAX_DRAWS_PER_SETTING = 50  # after so many draws for each setting wanted, a space is taken for exhausted
Setting = Tuple[Tuple[str, str], ...]  # (flag, value as text) of each flag that varies, without the seed


class Range(NamedTuple):
    """LOW..HIGH, drawn uniformly, or log:LOW..HIGH, drawn uniformly in the logarithm. Both ends are possible values."""

    low: float
    high: float
    log: bool
    whole: bool

    def __str__(self) -> str:
        return f"{'log:' if self.log else ''}{self.text(self.low)}..{self.text(self.high)}"

    def quantile(self, share: float) -> float:
        """Returns the value, before rounding, below which a share (0 to 1) of all draws lies."""
        margin = 0.5 if self.whole else 0.0  # so that the two ends are drawn as often as any value between them
        low, high = self.low - margin, self.high + margin
        return low * (high / low) ** share if self.log else low + share * (high - low)

    def text(self, value: float) -> str:
        """Returns a value as its flag takes it: within the range, and of four digits, to keep names readable."""
        rounded = round(value) if self.whole else float(f"{value:.4g}")
        within = min(max(rounded, self.low), self.high)
        return str(int(within) if self.whole else float(within))


@dataclass(frozen=True)
class Space:
    """The definition of a sweep, stored in sweep.json."""

    search: str
    samples: Optional[int]  # the number of settings of a search; None for a grid
    fixed: Dict[str, str]  # flags with one value
    lists: Dict[str, List[str]]  # flags with several values; always model and seed
    ranges: Dict[str, Range]

    @property
    def seeds(self) -> List[str]:
        return self.lists["seed"]

    @property
    def varied(self) -> Dict[str, Union[List[str], Range]]:
        """The values of each flag that a setting consists of, by name: every flag that varies except the seed."""
        return {**{name: values for name, values in self.lists.items() if name != "seed"}, **self.ranges}

    def check_samples(self) -> None:
        """Raises InputError if the lists contain fewer settings than a search is to try."""
        count = math.prod(len(values) for name, values in self.lists.items() if name != "seed")
        if not self.ranges and (self.samples or 0) > count:
            raise InputError(f"--samples: {self.samples} are more than the {count} settings that the lists contain")

    def settings(self) -> List[Setting]:
        """Returns the settings of a grid or of a random search, whose first settings do not depend on their number.

        Raises:
            InputError: A grid has too many runs, or a random search fewer settings than wanted.
        """
        if self.search == "grid":
            count = math.prod(map(len, self.lists.values()))
            if count > MAX_RUNS:
                raise InputError(f"sweep: the lists contain {count:,} runs, more than {MAX_RUNS:,}; use --samples")
            columns = [[(name, text) for text in values] for name, values in self.lists.items() if name != "seed"]
            return list(itertools.product(*columns))
        samples = self.samples or 0
        distinct: Dict[Setting, None] = {}  # an ordered set
        max_draws = MAX_DRAWS_PER_SETTING * samples
        for setting in itertools.islice(self._draws(), max_draws):
            distinct[setting] = None
            if len(distinct) == samples:
                return list(distinct)
        raise InputError(f"--samples: {samples} are too many; {max_draws} draws gave {len(distinct)} settings")

    def _draws(self) -> Iterator[Setting]:
        generator = random.Random(0)
        while True:
            yield tuple((name, _draw(values, generator.random())) for name, values in self.varied.items())

    def corners(self) -> List[Setting]:
        """Returns settings that together hold every value of each list and both ends of each range."""
        ends = {
            name: [values.text(values.low), values.text(values.high)] if isinstance(values, Range) else values
            for name, values in self.varied.items()
        }
        first_values = {name: values[0] for name, values in ends.items()}
        corners = [{**first_values, name: value} for name, values in ends.items() for value in values]
        return list(dict.fromkeys(tuple(corner.items()) for corner in corners))

    def default_folder(self) -> Path:
        """Returns runs/sweeps/<dataset>-<model>-<flags that vary>, which added seeds or values do not change."""
        data = self.fixed.get("image_dir") or self.fixed.get("arrays")
        dataset = self.fixed.get("dataset") or (Path(data).stem if data else "mnist")
        parts = [dataset, _short(self.lists["model"][0])]
        parts[1:] = ["model"] if len(self.lists["model"]) > 1 else parts[1:]
        parts += [name for name in self.varied if name not in ("model", "dataset")]
        parts += [self.search] if self.search != "grid" else []
        return Path("runs") / "sweeps" / _file_name("-".join(parts))

    def write(self, folder: Path) -> None:
        replace_file(folder / FILE_NAME, json.dumps(asdict(self), indent=1) + "\n")

    def check_extends(self, folder: Path) -> None:
        """Raises InputError if a folder holds a sweep that is neither this one nor a part of it."""
        path = folder / FILE_NAME
        try:
            differences = self._differences(_read(path))
        except FileNotFoundError:
            return
        except (OSError, RecordError) as error:
            raise InputError(f"{path}: holds no sweep ({error}); name another --sweep_dir") from error
        if differences:
            raise InputError(
                f"--sweep_dir {folder}: holds another sweep: {'; '.join(differences)}; repeat its values and add "
                "the new ones, or name another --sweep_dir"
            )

    def _differences(self, stored: "Space") -> List[str]:
        """Returns what the stored sweep has and this one lacks, a phrase for each flag.

        A grid may add values to any list. A random search may add seeds. Optuna's search may not, because it has
        judged settings by their mean over the seeds. Both searches may add samples.
        """
        if self.search != stored.search:
            return [f"its --search is {stored.search}"]
        differences = []
        new_texts, stored_texts = self._texts(), stored._texts()
        for name in sorted((set(new_texts) | set(stored_texts)) - MAY_CHANGE):
            may_grow = self.search == "grid" or (name == "seed" and self.search == "random")
            is_extended = may_grow and set(stored.lists.get(name, ["-"])) <= set(self.lists.get(name, []))
            if not is_extended and new_texts.get(name) != stored_texts.get(name):
                differences.append(f"its --{name} is {stored_texts.get(name, 'not given')}")
        if (self.samples or 0) < (stored.samples or 0):
            differences.append(f"its --samples is {stored.samples}")
        return differences

    def _texts(self) -> Dict[str, str]:
        """Returns all flags of the sweep as its command line spells them."""
        lists = {name: ",".join(values) for name, values in self.lists.items()}
        return {**self.fixed, **lists, **{name: str(values) for name, values in self.ranges.items()}}


@dataclass(frozen=True)
class _StoredSpace:
    """The content of sweep.json: a Space whose ranges are lists."""

    search: str
    samples: Optional[int]
    fixed: Dict[str, str]
    lists: Dict[str, List[str]]
    ranges: Dict[str, Tuple[float, float, bool, bool]]  # the fields of a Range


def _read(path: Path) -> Space:
    """
    Raises:
        FileNotFoundError: There is no such file.
        OSError: The file cannot be read.
        RecordError: The file holds no sweep.
    """
    stored = json_records.read(path, _StoredSpace)
    ranges = {name: Range(*fields) for name, fields in stored.ranges.items()}
    return Space(stored.search, stored.samples, stored.fixed, stored.lists, ranges)


def run_name(setting: Setting, seed: str) -> str:
    """Returns the name of a run's folder: the model, the flags that vary with their values, and the seed."""
    values = dict(setting)
    model = _short(values.pop("model"))
    parts = [model, *(f"{flag}={_short(value)}" for flag, value in values.items()), f"seed={seed}"]
    return _file_name(",".join(parts))


def _short(value: str) -> str:
    """Returns a value as names of folders have it: a user's function without the folders of its file."""
    return user_code.parse(value).slug if user_code.is_reference(value) else value


def _file_name(text: str) -> str:
    text = re.sub(r"[^\w.,=+-]", "_", text)
    return text if len(text) <= 200 else f"{text[:180]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _draw(values: Union[List[str], Range], share: float) -> str:
    """Returns the value at a share (0 to 1, exclusive) of a list or range."""
    if isinstance(values, Range):
        return values.text(values.quantile(share))
    return values[int(share * len(values))]
