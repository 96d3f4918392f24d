"""`megxl probe`: train a head on the frozen features of a model to name the words that a person hears."""

import argparse

from megxl.cli.finetune import decode_words, say_result
from megxl.cli.training_command import add_command, run_command

_DESCRIPTION = """\
Train a head on frozen features of a pre-trained model to name the words that a person hears. The features of all word
groups are computed once and kept; an epoch then takes seconds. control=random_backbone probes a model with random
weights, model.backbone=codec the codec alone; other controls, the run's directory and keys are those of `megxl
finetune`."""

_EXAMPLES = """\
examples:
  megxl probe corpus=libribrain data.root=/data/LibriBrain model.criss_cross_checkpoint=meg-xl-med.ckpt run=runs/p
  megxl probe corpus=armeni model.head=sensors ...                       a small head that asks for no order of sensors
  megxl probe corpus=armeni control=random_backbone run=runs/random ...  what pre-training is worth
  megxl probe -m seed=0,1,2 corpus=armeni ...
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl probe` to the commands."""
    add_command(subparsers, "probe", _DESCRIPTION, _EXAMPLES)


def run(args: argparse.Namespace) -> int:
    """Train a head, and say how well it does."""
    return run_command(args, decode_words, say_result)
