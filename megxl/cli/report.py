"""`megxl report`: the page of a run, of a tokenizer, of pre-training or of words, finished or under way."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megxl.training.runs import Run

_DESCRIPTION = """\
Write report.html into the directory of a run; one that goes on is shown as far as it is.

Of a pre-training: curves beside what guessers score, loss by level and corpus, how the codes are used, what the model
fills in where a recording is hidden from it (decoded to a signal), where on the head it is right, who trained and who
validated, and all settings.

Of a tokenizer: what it gives back of held-out recordings, beside random weights, shuffled codes and other tokenizers;
curves; signals and spectra, true and decoded; how its codes are used; what each level adds, noise and gain take away;
where on the head it fails. Scores are those of megxl evaluate, or made here on a few windows.

Of a decoder of words (megxl finetune, megxl probe): the reported metric on the test with its interval, beside chance,
frequent words and other runs; the protocol and what leaks in it; curves; every word, subject and session; what is taken
for what; how much signal after a word's onset it takes; which sensors are used; and the passage with the decoded words
below the true ones, where a click on a word shows its signal, its maps and its candidates."""

_EXAMPLES = """\
examples:
  megxl report checkpoints/small                      the page of a run: checkpoints/small/report.html
  megxl report checkpoints/small --windows 32         let the model look at more, for a steadier map
  megxl report checkpoints/small --device cuda        on a GPU
  megxl report logs/words --beside logs/noise logs/from-scratch
                                                      a decoder of words beside its controls
  megxl report runs/codec --beside biocodec_ckpt.pt runs/other
                                                      a tokenizer beside others, on the same windows
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl report` to the commands."""
    parser = subparsers.add_parser(
        "report", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", type=Path,
                        help="the directory that megxl tokenizer, pretrain, finetune or probe wrote")  # fmt: skip
    parser.add_argument("--windows", metavar="N", type=int,
                        help="validation windows (pre-training: of each corpus), or test groups of words, to show to "
                        "the model (default: 8; of words without a GPU 1 where decoder or array is large)")  # fmt: skip
    parser.add_argument("--beside", metavar="RUN", type=Path, nargs="+", default=[],
                        help="to compare with: other runs on the same words, as controls; other tokenizers, as runs "
                        "or checkpoints")  # fmt: skip
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it is and what it says."""
    from megxl.cli.loading import choose_device
    from megxl.cli.tables import print_table
    from megxl.errors import InputError
    from megxl.reporting.training_tables import state_of
    from megxl.training.config import PretrainConfig
    from megxl.training.runs import Run
    from megxl.training.tokenizer.config import TokenizerConfig

    if not Run.exists(args.run):
        raise InputError(
            f"{args.run} is no run; name a directory that `megxl pretrain`, `tokenizer`, `finetune` or `probe` wrote."
        )
    trained = Run.open(args.run)
    if args.windows is not None and args.windows < 1:
        raise InputError(f"--windows {args.windows}: at least one window has to be looked at.")
    if args.beside and isinstance(trained.config, PretrainConfig):
        raise InputError(f"--beside compares decoders of words or tokenizers; {args.run} is a run of `megxl pretrain`.")
    kinds = {PretrainConfig: ("a pre-training run", _of_pretraining), TokenizerConfig: ("a tokenizer", _of_tokenizer)}
    kind, write = kinds.get(type(trained.config), ("a decoder of words", _of_words))
    page, verdict, good = write(trained, args, str(choose_device(args.device)))
    rows = [("state", state_of(trained)), ("page", page)]
    print_table(f"{trained.name}: {kind}", [("verdict", verdict), *rows] if good else rows, None if good else verdict)
    return 0


def _of_pretraining(trained: "Run", args: argparse.Namespace, device: str) -> tuple[Path, str, bool]:
    from megxl.reporting.training_page import WINDOWS, write_training_report
    from megxl.reporting.training_tables import verdict_of

    page = write_training_report(trained, windows=args.windows or WINDOWS, device=device)
    return page, *verdict_of(trained)


def _of_tokenizer(trained: "Run", args: argparse.Namespace, device: str) -> tuple[Path, str, bool]:
    from megxl.cli.window_progress import window_progress
    from megxl.reporting.tokenizer.headline import verdict_of
    from megxl.reporting.tokenizer.opening import look_at
    from megxl.reporting.tokenizer.page import write_page
    from megxl.training.tokenizer.judged_windows import WINDOWS

    with window_progress("judging", "windows, of all tokenizers") as advance:
        look = look_at(trained, windows=args.windows or WINDOWS, device=device, beside=args.beside, advance=advance)
    return write_page(trained, look), *verdict_of(trained, look.scores)


def _of_words(trained: "Run", args: argparse.Namespace, device: str) -> tuple[Path, str, bool]:
    from megxl.reporting.words.headline import verdict_of_run
    from megxl.reporting.words.page import write_words_report
    from megxl.training.runs import Run
    from megxl.training.words.config import WordsConfig

    beside = [Run.open(path, WordsConfig) for path in args.beside]
    page = write_words_report(trained, beside=beside, groups=args.windows, device=device)
    return page, *verdict_of_run(trained)
