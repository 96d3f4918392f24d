"""`megxl tokenizer`: train a codec that turns signals into codes."""

import argparse
from typing import TYPE_CHECKING, Any

from megxl.cli.training_command import add_command, run_command

if TYPE_CHECKING:
    from megxl.training.runs import Run
    from megxl.training.tokenizer.config import TokenizerConfig

_DESCRIPTION = """\
Train a codec (tokenizer): one sensor's signal to codes and back, on the recordings of one corpus or many, MEG or EEG,
at any rate; from random weights, or from a codec that was trained before (model.init_from).

All that the run produces lies in one directory (run=..., by default checkpoint.save_dir/logging.experiment_name): the
configuration, curves, checkpoints, the codec (model/), report.html. Recordings that the store (data.cache_dir) lacks
are prepared before the first step. Ctrl-C, SIGTERM and SIGUSR1 end the run after the step that is under way; run=...
resume=true goes on exactly there.

Then `megxl evaluate RUN OTHER` judges it beside another one, `megxl pretrain model.tokenizer_ckpt=RUN/model` trains a
model on its codes, and `megxl convert RUN/model codec.pt` writes it in the released layout.

Keys are given as key=value; a group (corpora, codec) is chosen as codec=small. --cfg prints all of them."""

_EXAMPLES = """\
examples:
  megxl tokenizer corpora=camcan datasets_config.camcan.data_root=/data/BIDSsep run=runs/codec
  megxl tokenizer corpora=simulated codec=small data.cache_dir=/data/store training.max_steps=2000 run=runs/small
  megxl tokenizer corpora=armeni model.init_from=biocodec_ckpt.pt training.learning_rate=3e-5      from released weights
  megxl tokenizer --config-name tokenizer_biocodec_meg datasets_config.armeni.data_root=/data/armeni
  megxl tokenizer -m model.levels=4,6,8 corpora=camcan data.cache_dir=/data/store                 one run for each value
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl tokenizer` to the commands."""
    add_command(subparsers, "tokenizer", _DESCRIPTION, _EXAMPLES)


def run(args: argparse.Namespace) -> int:
    """Train, and say where the run lies."""

    def train(config: "TokenizerConfig", **options: Any) -> "Run":
        from megxl.training.tokenizer.engine import train_tokenizer

        return train_tokenizer(config, **options)

    return run_command(args, train, _say_result)


def _say_result(trained: "Run") -> None:
    from megxl.cli.tables import print_table
    from megxl.errors import InputError
    from megxl.reporting.tokenizer.page import write_tokenizer_report

    try:
        page: object = write_tokenizer_report(trained)
    except InputError as error:
        # the training is done and stays so
        page = f"none: {error}"
    last = (trained.validation() or [{}])[-1]
    rows = [
        ("steps", trained.status["step"]),
        ("correlation with what was never trained on", f"{last['r']:.4f}" if "r" in last else None),
        ("codec", trained.newest_model()),
        ("report", page),
    ]
    print_table(f"{trained.path}: trained", rows)
