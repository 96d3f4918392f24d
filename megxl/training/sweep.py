"""`megxl pretrain -m` and others: one run for each combination of values, each in a process of its own, in turn."""

import csv
import itertools
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import megxl
from megxl.errors import InputError
from megxl.placing import placed
from megxl.training.config import PretrainConfig
from megxl.training.configuring import ValueType, compose, parse_override
from megxl.training.corpora_config import CorporaConfig
from megxl.training.runs import Run
from megxl.training.stopping import SIGNALS
from megxl.training.tokenizer.config import TokenizerConfig
from megxl.training.words.config import WordsConfig

TABLE = "sweep.csv"
_MOST_RUNS = 1000
SCHEMAS: dict[str, type[CorporaConfig] | type[WordsConfig]] = {
    "tokenizer": TokenizerConfig,
    "pretrain": PretrainConfig,
    "finetune": WordsConfig,
    "probe": WordsConfig,
}
"""Configuration of each command that can sweep."""
_OWN = ("run", "resume", "overwrite")
"""Keys that the sweep gives to its runs."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """One run of a sweep."""

    swept: tuple[str, ...]
    """Overrides that differ from run to run."""
    overrides: tuple[str, ...]
    """All overrides."""
    folder: Path
    """Of the run."""
    config: CorporaConfig | WordsConfig
    """What they make."""

    @property
    def run(self) -> Run | None:
        """The run, once it has begun."""
        return Run.open(self.folder) if Run.exists(self.folder) else None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All combinations of values, checked before the first of them runs."""

    config_name: str | Path
    folder: Path
    """The sweep's; the runs lie in it, and a table of them."""
    combinations: tuple[Combination, ...]
    resume: bool
    """Leave out runs that are finished and go on with others."""
    overwrite: bool
    """Replace older runs."""
    command: str = "pretrain"
    """What trains each of them."""

    @classmethod
    def of(cls, config_name: str | Path, overrides: Sequence[str], command: str = "pretrain") -> "Sweep":
        """Lay out a sweep.

        Parameters
        ----------
        config_name, overrides
            As in `megxl.training.configuring.compose`; values separated by commas are swept over.
        command : str
            Of `SCHEMAS`.

        Raises
        ------
        InputError
            Nothing to sweep over, a combination that is refused, a folder that is in the way.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError("-m starts its runs itself, one after the other; start it without torchrun or srun.")
        choices = [_choices(text) for text in overrides]
        several = [some for some in choices if len(some) > 1]
        if not several:
            raise InputError("-m: no key has several values; give some, as in seed=1,2,3, or leave -m out.")
        if (number := math.prod(map(len, several))) > _MOST_RUNS:
            raise InputError(f"-m: {number} combinations; allowed: at most {_MOST_RUNS}. Sweep over fewer values.")
        composed = partial(compose, schema=SCHEMAS[command], given=given_by(command))
        first = composed(config_name, [some[0] for some in choices])
        fixed = [some[0] for some in choices if len(some) == 1 and _key(some[0]) not in _OWN]
        combinations = []
        for number, swept in enumerate(itertools.product(*several)):
            folder = first.run_dir / f"{number}_{_file_name(swept)}"
            config = composed(config_name, [*fixed, *swept])
            combinations.append(Combination(swept=swept, overrides=(*fixed, *swept), folder=folder, config=config))
        sweep = cls(
            config_name=config_name,
            folder=first.run_dir,
            combinations=tuple(combinations),
            resume=bool(first.resume),
            overwrite=first.overwrite,
            command=command,
        )
        sweep._refuse_what_is_there()
        return sweep

    @property
    def notes(self) -> list[str]:
        """Say whether the runs see as much data as one another."""
        configs = [one.config for one in self.combinations if isinstance(one.config, CorporaConfig)]
        if not configs:
            return []
        seen_s = [seconds_of_recording(config) for config in configs]
        lengths_s = {config.data.segment_length for config in configs}
        known_s = [seconds for seconds in seen_s if seconds is not None]
        if len(known_s) == len(seen_s) and max(known_s) > 1.001 * min(known_s):
            return [
                f"The runs see different amounts of recording ({min(known_s) / 3600:.3g} to {max(known_s) / 3600:.3g} "
                "h); for equal data give training.batch_seconds and training.max_steps."
            ]
        if not known_s and len(lengths_s) > 1:
            return [
                "Every run passes over the same recordings as often, but what is left of each after its last whole "
                f"window (of up to {max(lengths_s):g} s) is not seen; for equal data give training.max_steps."
            ]
        return []

    @property
    def measure(self) -> str:
        """Column of the rows that says how well a run does."""
        return "test" if SCHEMAS[self.command] is WordsConfig else "validation_loss"

    def run(self, tell: Callable[[str], None]) -> int:
        """Train one after the other; a run that fails does not stop the others, a signal does.

        Parameters
        ----------
        tell : callable
            Is told which run begins, or is left out.

        Returns
        -------
        int
            0 if all are finished, 1 if some are not, 128 and the number of the signal that ended the sweep.
        """
        codes = []
        for number, one in enumerate(self.combinations, start=1):
            name = f"Run {number} of {len(self.combinations)}, {' '.join(one.swept)}"
            if self.resume and one.run is not None and one.run.status["state"] == "finished":
                tell(f"{name}: finished already.")
                continue
            tell(f"{name}: begins.")
            code = _run_to_end(self._command(one))
            self.write_table()
            if code in {128 + number for number in SIGNALS}:
                return code
            if code:
                tell(f"{name}: ended with code {code}.")
            codes.append(code)
        self.write_table()
        return int(any(codes))

    def rows(self) -> list[dict[str, Any]]:
        """One row a run: what was swept over, how far it is, how much data it sees, how well it does."""
        rows = []
        for one in self.combinations:
            run = one.run
            rows.append(
                dict(text.split("=", 1) for text in one.swept)
                | {"state": run.status["state"] if run else "not begun", "step": run.status["step"] if run else 0}
                | _measured(run, one.config)
                | {"folder": one.folder.name}
            )
        return rows

    def write_table(self) -> None:
        """Put the rows into sweep.csv."""
        rows = self.rows()
        self.folder.mkdir(parents=True, exist_ok=True)
        with placed(self.folder / TABLE, folder=False) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def _command(self, one: Combination) -> list[str]:
        own = f"--config={self.config_name}" if isinstance(self.config_name, Path) else f"-cn={self.config_name}"
        path = str(one.folder).replace("\\", "\\\\").replace("'", "\\'")
        how = ["resume=auto"] if self.resume else [f"overwrite={str(self.overwrite).lower()}", "resume=false"]
        return [sys.executable, "-m", "megxl", self.command, own, *one.overrides, f"run='{path}'", *how]

    def _refuse_what_is_there(self) -> None:
        """Refuse runs in the way before the first one trains."""
        there = [one.folder for one in self.combinations if one.folder.exists()]
        if there and not (self.resume or self.overwrite):
            raise InputError(
                f"run: {there[0]} exists already. Go on with the sweep (resume=auto), replace it (overwrite=true), or "
                "choose another place with run=PATH."
            )


def given_by(command: str) -> dict[str, Any]:
    """Keys of the configuration that the choice of a command sets."""
    return {"command": command} if SCHEMAS[command] is WordsConfig else {}


def _measured(run: Run | None, config: CorporaConfig | WordsConfig) -> dict[str, Any]:
    last = ((run.validation() if run else None) or [{}])[-1]
    if isinstance(config, CorporaConfig):
        return {"seconds_of_recording": seconds_of_recording(config), "validation_loss": last.get("loss")}
    from megxl.training.words.finished import row_of

    row = row_of(run) if run is not None and run.results() is not None else None
    return {
        "train_hours": row and row.hours,
        "metric": row and row.metric,
        "test": row and row.result,
        "low": row and row.low,
        "high": row and row.high,
    }


def seconds_of_recording(config: CorporaConfig) -> float | None:
    """Seconds of recording that a run trains on, windows seen twice counted twice; None: its epochs decide."""
    training, trainer = config.training, config.trainer
    if training.max_steps is None or trainer.devices == "auto":
        return None
    devices = len(trainer.devices) if isinstance(trainer.devices, tuple) else trainer.devices
    windows = training.max_steps * trainer.accumulate_grad_batches * config.batch_size * devices * trainer.num_nodes
    return windows * config.data.segment_length


def _choices(text: str) -> list[str]:
    """Overrides of one value each, out of one that may have several."""
    override = parse_override(text)
    if not override.is_sweep_override():
        return [text]
    is_list = override.is_discrete_sweep() and override.value_type is not ValueType.GLOB_CHOICE_SWEEP
    if not is_list or getattr(override.value(), "shuffle", False):
        # in another order the runs would have other numbers when the sweep goes on
        raise InputError(f"{text}: give the values one by one, separated by commas.")
    if _key(text) in _OWN:
        raise InputError(f"{text}: a sweep has one {_key(text)} for all its runs.")
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+")


def _file_name(swept: Sequence[str]) -> str:
    return re.sub(r"[^A-Za-z0-9_.,=+-]+", "_", ",".join(text.lstrip("+") for text in swept))[:120]


def _run_to_end(command: Sequence[str]) -> int:
    """Run a command in a process group of its own, so that a signal reaches it once, through us."""
    source = str(Path(megxl.__file__).parent.parent)
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    received: list[int] = []
    with _signals_into(received) as pass_on, subprocess.Popen(command, env=environment, process_group=0) as child:
        pass_on(child)
        code = child.wait()
    code = code if code >= 0 else 128 - code
    return 128 + received[0] if received and not code else code


@contextmanager
def _signals_into(received: list[int]) -> Iterator[Callable[[subprocess.Popen], None]]:
    """Note the signals that come, and pass them on to the process that is named to what this gives."""
    children: list[subprocess.Popen] = []

    def take(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for child in children:
            child.send_signal(number)

    def pass_on(child: subprocess.Popen) -> None:
        children.append(child)
        for number in received:
            child.send_signal(number)

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield pass_on
        return
    before = {number: signal.signal(number, take) for number in SIGNALS}
    try:
        yield pass_on
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
