"""Numbers of a run in two plain tables, metrics.csv and validation.csv, which a resumed run cuts back and continues."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from megxl.errors import InputError
from megxl.placing import placed

try:
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
except ModuleNotFoundError as error:
    raise InputError("Training needs Lightning: pip install 'megxl[train]'.") from error

METRICS, VALIDATION = "metrics.csv", "validation.csv"
PREFIX = "validation_"
"""Of the names of metrics that belong into validation.csv."""
STEP = "step"
BEGINNING = -1
"""Step before all rows."""


class Table:
    """A CSV file of one row a step, in the order of steps.

    What is added to one step becomes one row, which is written when the next step comes or on `flush`. A number is
    written so that reading it gives the same number again.

    Parameters
    ----------
    path : Path
        Made with the first row; an older file is continued.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns = _header(path)
        self._row: dict[str, Any] = {}

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Add values to the row of a step."""
        if self._row.get(STEP, step) != step:
            self.flush()
        self._row |= {STEP: step, **values}

    def flush(self) -> None:
        """Write the row that is under way; it is on the disk when this returns."""
        if not self._row:
            return
        row, self._row = self._row, {}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = _rows(self.path)
            self._columns = [*self._columns, *new]
            _write(self.path, self._columns, rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow([_text(row.get(name)) for name in self._columns])
            file.flush()
            os.fsync(file.fileno())

    def cut_back(self, step: int) -> None:
        """Take away what comes after a step, and a last row that was half written."""
        self._row = {}
        if self.path.exists():
            rows = [row for row in _rows(self.path) if int(row[STEP]) <= step]
            _write(self.path, self._columns, rows)


class TableLogger(Logger):
    """Lightning's logger into the two tables of a run.

    Parameters
    ----------
    folder : Path
        Of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._metrics, self._validation = Table(folder / METRICS), Table(folder / VALIDATION)

    @property
    def name(self) -> str:
        """Of this logger."""
        return "tables"

    @property
    def version(self) -> str:
        """A run has one."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add metrics to the row of a step; those named ``validation_...`` to validation.csv, without the prefix."""
        assert step is not None, "a row belongs to a step"
        validation = {name.removeprefix(PREFIX): value for name, value in metrics.items() if name.startswith(PREFIX)}
        training = {name: value for name, value in metrics.items() if not name.startswith(PREFIX)}
        for table, values in ((self._metrics, training), (self._validation, validation)):
            if values:
                table.add(step, values)

    @rank_zero_only
    def save(self) -> None:
        """Write what is under way."""
        self._metrics.flush()
        self._validation.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is under way."""
        self.save()

    @rank_zero_only
    def cut_back(self, step: int) -> None:
        """Take away all rows after a step (`BEGINNING`: all rows)."""
        self._metrics.cut_back(step)
        self._validation.cut_back(step)


def read_table(path: Path) -> list[dict[str, float]]:
    """Rows of a table, without what a row has no number for; a table that is not there has none.

    Steps are whole numbers. A last row that is being written is left out.
    """
    return [
        {name: int(text) if name == STEP else float(text) for name, text in row.items() if text} for row in _rows(path)
    ]


def _header(path: Path) -> list[str]:
    if not path.exists():
        return [STEP]
    with path.open(newline="", encoding="utf-8") as file:
        header = next(csv.reader(file), [STEP])
    if header[0] != STEP:
        raise InputError(f"{path.name} in {path.parent} is no table of a run: its first column is {header[0]!r}.")
    return header


def _rows(path: Path) -> list[dict[str, str]]:
    """Whole rows; one without its end of line, or without all columns, was cut off when the machine stopped."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1].splitlines()
    columns, *rows = list(csv.reader(whole)) or [[STEP]]
    return [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    with placed(path, folder=False) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([row.get(name, "") for name in columns] for row in rows)
        file.flush()
        os.fsync(file.fileno())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else repr(float(value))
