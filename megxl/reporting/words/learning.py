"""Which columns of validation.csv a page shows, and which of its epochs was kept."""

from megxl.reporting.training_figures import Rows
from megxl.training.words.chosen_metrics import metric_named
from megxl.training.words.config import WordsConfig


def shown_metrics(config: WordsConfig, validation: Rows, vocabulary: int | None) -> dict[str, str]:
    """Columns to draw and their names for people: the metric that selects, and the one that is reported."""
    columns = {name for row in validation for name in row}
    shown: dict[str, str] = {}
    for which in ("selection", "reported"):
        name = metric_named(config.evaluation, which, vocabulary).name
        if name in columns:
            shown[name] = f"{shown[name]}, reported" if name in shown else f"{name} ({which})"
    return shown


def kept_step(validation: Rows) -> int | None:
    """Step whose weights were kept: the last one that was the best so far; None where nobody says."""
    return next((int(row["step"]) for row in reversed(validation) if row.get("selected")), None)
