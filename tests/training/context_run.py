"""A finished training of seconds on windows of 12 s, for tests of what is done with runs."""

from pathlib import Path

from megxl.training.runs import Run
from tests.training.small_run import make_codec, make_store, small_config


def trained_run(folder: Path, **changes) -> Run:
    """Train on two corpora of four recordings of 60 s each, two of which validate."""
    from megxl.training.engine import pretrain

    make_codec(folder)
    make_store(folder, subjects=4, seconds=60.0, corpora=("armeni", "mous"))
    split = {"validation": 0.5, "seed": 0}
    blocks = [{"type": corpus, "split": split} for corpus in ("armeni", "mous")]
    known = {"datasets_config": blocks, "data__segment_length": 12.0, "training__num_epochs": 1}
    return pretrain(small_config(folder, **(known | changes)))
