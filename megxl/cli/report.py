"""`megxl report`: the page of a pre-training run, finished or under way."""

import argparse
from pathlib import Path

_DESCRIPTION = """\
Write report.html into the directory of a pre-training run: curves beside what guessers score, loss by level and corpus,
how the codes are used, what the model fills in where a recording is hidden from it (decoded to a signal), where on the
head it is right, who trained and who validated, and all settings. A run that goes on is shown as far as it is."""

_EXAMPLES = """\
examples:
  megxl report checkpoints/small                      the page of a run: checkpoints/small/report.html
  megxl report checkpoints/small --windows 32         let the model fill in more windows, for a steadier map
  megxl report checkpoints/small --device cuda        on a GPU
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl report` to the commands."""
    parser = subparsers.add_parser(
        "report", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="the directory that megxl pretrain wrote")
    parser.add_argument("--windows", metavar="N", type=int,
                        help="validation windows of each corpus that the model is shown (default: 8)")  # fmt: skip
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it is and what it says."""
    from megxl.cli.loading import choose_device
    from megxl.cli.tables import print_table
    from megxl.errors import InputError
    from megxl.reporting.training_page import WINDOWS, write_training_report
    from megxl.reporting.training_tables import state_of, verdict_of
    from megxl.training.runs import Run

    if not args.run.exists():
        raise InputError(f"{args.run} does not exist; name the directory that `megxl pretrain` wrote.")
    trained, windows = Run.open(args.run), WINDOWS if args.windows is None else args.windows
    if windows < 1:
        raise InputError(f"--windows {windows}: at least one window has to be looked at.")
    page = write_training_report(trained, windows=windows, device=choose_device(args.device))
    verdict, good = verdict_of(trained)
    rows = [("state", state_of(trained)), ("page", page)]
    print_table(f"{trained.name}: a pre-training run", [("verdict", verdict), *rows] if good else rows,
                None if good else verdict)  # fmt: skip
    return 0
