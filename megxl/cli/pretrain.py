"""`megxl pretrain`: train a model on the hidden codes of many recordings."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
  megxl pretrain --cfg model=tiny machine=laptop                                   print the configuration, do nothing
  megxl pretrain -m data.segment_length=5,30,100,150 training.batch_seconds=300 training.max_steps=20000
                                  one run for each value, in turn, with equally much data; with resume=auto it goes on
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl pretrain` to the commands."""
    parser = subparsers.add_parser(
        "pretrain", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--config-name", "-cn", metavar="NAME",
                       help="a configuration that comes with megxl (default: pretrain)")  # fmt: skip
    which.add_argument("--config", metavar="FILE.yaml", type=Path, help="a configuration of your own")
    parser.add_argument("--cfg", "-c", action="store_true", help="print the configuration and do nothing")
    parser.add_argument("--multirun", "-m", action="store_true",
                        help="train with every combination of values given as key=a,b,c, in turn")  # fmt: skip
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="what differs from the configuration")
    parser.set_defaults(show_help=parser.print_help)
    _take_overrides_anywhere(parser)


def run(args: argparse.Namespace) -> int:
    """Train, and say where the run lies; or print the configuration, or the help where nothing is asked."""
    if not (args.overrides or args.config_name or args.config or args.cfg or args.multirun):
        args.show_help()
        return 0
    from megxl.training.configuring import DEFAULT, compose

    name = args.config or args.config_name or _of_the_run(args.overrides) or DEFAULT
    if args.multirun:
        return _sweep(name, args.overrides)
    config = compose(name, args.overrides, complete=not args.cfg)
    if args.cfg:
        _print_config(config.to_dict())
        return 0
    from megxl.cli.pretrain_progress import PretrainLines
    from megxl.training.engine import pretrain
    from megxl.training.environment import is_first_process
    from megxl.training.stopping import Stopped

    try:
        trained = pretrain(config, watch=PretrainLines(), tell=_note)
    except Stopped as stopped:
        if is_first_process():
            print(f"\nmegxl: {stopped.sentence}", file=sys.stderr)
        return 128 + stopped.number
    if is_first_process():
        _say_result(trained)
    return 0


def _of_the_run(overrides: Sequence[str]) -> Path | None:
    """Configuration of the run that is to go on, where the command names nothing else to build on."""
    from megxl.training.configuring import GROUPS, parse_override

    given = {one.key_or_group: one.value() for one in map(parse_override, overrides) if not one.is_sweep_override()}
    if given.get("resume") not in (True, "auto") or "run" not in given or given.keys() & set(GROUPS):
        return None
    kept = Path(str(given["run"])).expanduser() / "config.yaml"
    return kept if kept.is_file() else None


def _sweep(name: str | Path, overrides: Sequence[str]) -> int:
    from megxl.cli.tables import print_table
    from megxl.training.sweep import TABLE, Sweep

    sweep = Sweep.of(name, overrides)
    for note in sweep.notes:
        _note(note)
    code = sweep.run(tell=_note)
    losses = [(row["folder"], row["validation_loss"], row["state"]) for row in sweep.rows()]
    print_table(
        f"{sweep.folder / TABLE}: {len(losses)} runs and their last validation loss",
        [(folder, f"{loss:.4f} ({state})" if loss is not None else state) for folder, loss, state in losses],
    )
    return code


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


def _print_config(values: dict[str, Any]) -> None:
    from yaml import safe_dump

    print(safe_dump(values, sort_keys=False, allow_unicode=True), end="")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _take_overrides_anywhere(parser: argparse.ArgumentParser) -> None:
    """Let key=value stand before and between options, as published commands have them; `--cfg job` is Hydra's."""
    parse = parser.parse_known_args

    def parse_sorted(given: Sequence[str] | None = None, namespace: Any = None) -> Any:
        words = list(given or ())
        words = [word for before, word in zip(["", *words], words, strict=False)
                 if (before, word) not in {("--cfg", "job"), ("-c", "job")}]  # fmt: skip
        return parse(sorted(words, key=lambda word: "=" in word and not word.startswith("-")), namespace)

    parser.parse_known_args = parse_sorted  # type: ignore[method-assign]
