"""The `megxl` command: a table of contents that imports what a command needs only when it runs."""

import argparse
import difflib
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from megxl import __version__
from megxl.errors import InputError

COMMANDS = {
    "info": "say what a recording, store, checkpoint, embedding or run is",
    "prepare": "filter, resample, check and store the recordings of a corpus",
    "check-words": "draw what follows words, to see whether onsets are right",
    "simulate": "make a corpus with known ground truth, in real formats",
    "fetch": "get a corpus from where it is published",
    "embed": "turn a recording into the model's features",
    "tokenizer": "train a codec that turns signals into codes",
    "pretrain": "train a model on the hidden codes of many recordings",
    "finetune": "train a model to name the words that a person hears",
    "probe": "train a head on a model's frozen features to name words",
    "evaluate": "say how well codes are predicted, words named, signals kept",
    "decode": "name the words that were heard in a recording",
    "report": "draw the page of a run",
    "reproduce": "run the published experiments again, beside what was published",
    "convert": "convert a checkpoint between the released formats and ours",
    "bench": "measure speed and memory on this machine",
    "doctor": "say what is installed and here, and how to get the rest",
    "completion": "print a script with which your shell completes all this",
    "demo": "see the whole way, from a simulated brain to decoded words",
}
"""Each is a module here (with _ for -) with `register(subparsers)` and `run(args) -> int`, in the order of the help."""

EXAMPLES = """\
examples:
  megxl demo                                            see the whole way, on a listener made up on the spot
  megxl info sub-01_meg.fif                             what a recording is, and what embed would do with it
  megxl embed sub-01_meg.fif --model meg-xl-med.ckpt --out features.npz --report features.html

Each command has its own help with examples: megxl embed --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 for what a person can mend, or 130 or 143 when stopped by SIGINT or SIGTERM."""
    argv = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if not argv[0].startswith("-") and argv[0] not in COMMANDS:
        return _fail(f"there is no command {argv[0]!r}{_suggestion(argv[0])}; see megxl --help.")
    try:
        args, unknown = _parser(argv[0]).parse_known_args(argv)
        if unknown:
            args.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as stop:  # argparse has printed its help, or its error
        return int(stop.code or 0)
    if not args.debug:
        # MNE logs to stdout, which belongs to what a command prints; what it warns of is in the notes
        logging.getLogger("mne").addFilter(_is_error)
    try:
        with _ended_by_sigterm():
            return import_module(_module(args.command)).run(args)
    except (InputError, OSError) as error:
        if args.debug:
            raise
        return _fail(_sentence(error))
    except RuntimeError as error:
        if args.debug or not _is_out_of_gpu_memory(error):
            raise
        return _fail(
            "the memory of the GPU is too small for this: use --dtype bfloat16, a shorter window "
            "(embed: --window, bench: --seconds) or --device cpu."
        )
    except (KeyboardInterrupt, SystemExit) as stop:
        if args.debug:
            raise
        print("\nmegxl: stopped; nothing unfinished was left behind.", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(stop, SystemExit) else signal.SIGINT)


def _parser(command: str) -> argparse.ArgumentParser:
    """Make a parser that knows the options of one command and only the names of the others."""
    parser = argparse.ArgumentParser(
        prog="megxl",
        description="Long-context models of non-invasive brain recordings: from an MEG or EEG file to features.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"megxl {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        if name == command:
            import_module(_module(name)).register(subparsers)
            chosen = subparsers.choices[name]
            chosen.add_argument("--debug", action="store_true", help="show the traceback of an error")
            chosen.set_defaults(refuse=chosen.error)  # with the usage of the command, not of all of megxl
        else:
            subparsers.add_parser(name, help=purpose)
    return parser


def _module(command: str) -> str:
    return f"megxl.cli.{command.replace('-', '_')}"


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM (of a batch system, a container, `timeout`) unwind the command, so that it clears up behind it."""
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _stop(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the clearing up
    raise SystemExit(128 + number)


def _sentence(error: Exception) -> str:
    """What went wrong, for a person; the operating system's errors name the file."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return str(error)


def _is_out_of_gpu_memory(error: RuntimeError) -> bool:
    # by name: the class lies in torch, which is not imported here, and has moved inside it
    return type(error).__name__ == "OutOfMemoryError" and type(error).__module__.partition(".")[0] == "torch"


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _fail(message: str) -> int:
    print(f"megxl: error: {message}", file=sys.stderr)
    return 2
