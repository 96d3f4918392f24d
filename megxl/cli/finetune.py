"""`megxl finetune`: train a model, and a head on it, to name the words that a person hears."""

import argparse
from typing import TYPE_CHECKING, Any

from megxl.cli.training_command import add_command, run_command

if TYPE_CHECKING:
    from megxl.training.runs import Run
    from megxl.training.words.config import WordsConfig

_DESCRIPTION = """\
Fine-tune a pre-trained model to name the words that a person hears, or train a baseline of it: from scratch
(model.train_from_scratch=true), a supervised convolution (model.backbone=convolution), codec features alone
(model.backbone=codec); or a control that must be at chance (control=noise, time_shuffle, shuffled_words,
duration_only, frequency_only).

All that the run produces lies in one directory (run=...): the configuration, curves, the decoder, the predictions of
validation and test, results.json, report.html. The best epoch is chosen by evaluation.selection_metric on validation;
the test part is looked at once, at the end. Ctrl-C, SIGTERM and SIGUSR1 end the run after the step that is under way;
run=... resume=true goes on exactly there.

Keys are given as key=value; a corpus is chosen as corpus=armeni. --cfg prints all of them."""

_EXAMPLES = """\
examples:
  megxl finetune corpus=libribrain data.root=/data/LibriBrain model.criss_cross_checkpoint=meg-xl-med.ckpt run=runs/a
  megxl finetune run=runs/a resume=true                                  go on with a run that was stopped
  megxl finetune --config-name eval_criss_cross_word_classification_armeni data.root=/data/armeni2022 ...
  megxl finetune --config-name finetune_laptop corpus=bids ...           short windows, in minutes on two processors
  megxl finetune corpus=armeni model.backbone=convolution run=runs/conv  a baseline under the same split and metric
  megxl finetune corpus=armeni control=noise run=runs/noise ...          a control
  megxl finetune -m data.train_hours=0.5,1,2 seed=0,1,2 ...              a curve of accuracy against hours
  megxl finetune --cfg corpus=armeni t5.model_name=wordllama             print the configuration, do nothing
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl finetune` to the commands."""
    add_command(subparsers, "finetune", _DESCRIPTION, _EXAMPLES)


def run(args: argparse.Namespace) -> int:
    """Train a decoder, and say how well it does."""
    return run_command(args, decode_words, say_result)


def decode_words(config: "WordsConfig", **options: Any) -> "Run":
    """Import what trains, and train."""
    from megxl.training.words.engine import decode_words

    return decode_words(config, **options)


def say_result(trained: "Run") -> None:
    """Print the headline of a finished run, and where its page lies."""
    from megxl.cli.tables import print_table
    from megxl.errors import InputError
    from megxl.reporting.words.page import write_words_report
    from megxl.training.words.finished import row_of

    try:
        page: object = write_words_report(trained)
    except InputError as error:
        # the training is done and stays so
        page = f"none: {error}"
    row, scored = row_of(trained), (trained.results() or {})["test"]
    alone = scored["interval"] is None
    bounds = "no interval: one group of words" if alone else f"{row.low:.4f} to {row.high:.4f}"
    p = scored["metrics"][row.metric]["p"]
    rows = [
        (row.metric, f"{row.result:.4f} ({bounds}), chance {row.chance:.4f}{'' if p is None else f', p = {p:.3g}'}"),
        ("test", row.task),
        ("hours of training", f"{row.hours:.3g}"),
        ("decoder", trained.path / "model"),
        ("report", page),
    ]
    print_table(f"{trained.path}: trained", rows)
