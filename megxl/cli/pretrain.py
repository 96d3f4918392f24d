"""`megxl pretrain`: train a model on the hidden codes of many recordings."""

import argparse
from typing import TYPE_CHECKING, Any

from megxl.cli.training_command import add_command, run_command

if TYPE_CHECKING:
    from megxl.training.config import PretrainConfig
    from megxl.training.runs import Run

_DESCRIPTION = """\
Train a model to predict hidden codes of recordings (masked-code pre-training), over one corpus or many.

All that the run produces lies in one directory (run=..., by default checkpoint.save_dir/logging.experiment_name): the
configuration, curves, checkpoints, the model, report.html. Recordings that the store (data.cache_dir) lacks are
prepared, and their codes written, before the first step. Ctrl-C, SIGTERM and SIGUSR1 end the run after the step that is
under way; run=... resume=true (and nothing else, or the same command) goes on exactly there, after a power cut too.

Keys are given as key=value; a group (corpora, model, machine) is chosen as model=small. --cfg prints all of them."""

_EXAMPLES = """\
examples:
  megxl pretrain corpora=camcan datasets_config.camcan.data_root=/data/BIDSsep model=small run=runs/first
  megxl pretrain corpora=[camcan,mous] data.cache_dir=/data/store machine=gpu24    corpora that megxl prepare has stored
  megxl pretrain run=runs/first resume=true                                        go on with a run that was stopped
  megxl pretrain --config-name train_criss_cross_multi_50hz_med datasets_config.0.data_root=/data/ds004078 ...
  megxl pretrain --config mine.yaml training.learning_rate=3e-4                    a file of your own
  megxl pretrain --config-name pretrain_laptop corpora=bids ...                    a tiny model, in minutes
  megxl pretrain --cfg model=tiny machine=laptop                                   print the configuration, do nothing
  megxl pretrain -m data.segment_length=5,30,100,150 training.batch_seconds=300 training.max_steps=20000
                                  one run for each value, in turn, with equally much data; with resume=auto it goes on
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl pretrain` to the commands."""
    add_command(subparsers, "pretrain", _DESCRIPTION, _EXAMPLES)


def run(args: argparse.Namespace) -> int:
    """Train, and say where the run lies."""

    def train(config: "PretrainConfig", **options: Any) -> "Run":
        from megxl.training.engine import pretrain

        return pretrain(config, **options)

    return run_command(args, train, _say_result)


def _say_result(trained: "Run") -> None:
    from megxl.cli.tables import print_table
    from megxl.errors import InputError
    from megxl.reporting.training_page import write_training_report

    try:
        page: object = write_training_report(trained)
    except InputError as error:
        # the training is done and stays so
        page = f"none: {error}"
    last = (trained.validation() or [{}])[-1]
    known = trained.baselines() or {}
    guessed = [known[name]["loss"] for name in ("unigram", "last_token") if name in known]
    loss = f"{last['loss']:.4f}" if "loss" in last else None
    beside = f" (the better guesser: {min(guessed):.4f})" if loss and guessed else ""
    rows = [
        ("steps", trained.status["step"]),
        ("validation loss", loss and f"{loss}{beside}"),
        ("model", trained.newest_model()),
        ("report", page),
    ]
    print_table(f"{trained.path}: trained", rows)
