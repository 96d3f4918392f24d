"""`megxl prepare`: the recordings of a corpus into a store."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from megxl.data.codes import CodesReport
    from megxl.data.preparing import Plan, Request, Result

_DESCRIPTION = """\
Filter, resample and check the recordings of a corpus and put them into a store, with their words.

Recordings that are in the store as they should be cost next to nothing; those that are missing, whose files have
changed, or that were prepared with other settings are made. So the same command goes on after it was stopped or killed,
takes in what is new, and may run several times at once on one store. Recordings that cannot be prepared are listed at
the end with the reason (exit code 1), the others are done.

Names of files are recorded in the store; their folders and the fields of their headers are not."""

_EXAMPLES = """\
examples:
  megxl prepare armeni /data/armeni --store /data/store
  megxl prepare smn4lang /data/ds004078 --store /data/store --subjects sub-01 sub-02 --workers 8 --report quality.html
  megxl prepare libribrain /data/libribrain --store /data/store --dry-run      what there is to do
  megxl prepare armeni /data/armeni --store /data/store --repair               read all, make again what is damaged
  megxl prepare bids /data/mine --store /data/store --set datatype=eeg         an option of the corpus
  megxl prepare bids /data/caps --store /data/store --set montage=standard_1005 exclude=VEOG,HEOG
  megxl prepare bids /data/both --store /data/store --set sensors=meg+eeg dataset=both
  megxl prepare armeni /data/armeni --store /data/store --codes biocodec_ckpt.pt   and the codes of its windows
  megxl prepare camcan /data/BIDSsep --store /data/store --dask tcp://head:8786  on a cluster, with shared disks

in Python:
  from megxl.data.preparing import Request, prepare_corpus
  prepare_corpus(Request(corpus=corpus_named("armeni"), root="/data/armeni", store="/data/store"))
"""

_MOST_LISTED = 20


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl prepare` to the commands."""
    from megxl.corpora.corpus import CORPORA

    parser = subparsers.add_parser(
        "prepare", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", metavar="CORPUS", help=f"{', '.join(CORPORA)}, or package.module:Class of your own")
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder of the corpus")
    parser.add_argument("--store", metavar="S", type=Path, required=True, help="folder of the store; made if not there")
    which = parser.add_argument_group("which recordings")
    for level, example in (("subjects", "sub-001"), ("sessions", "ses-001"), ("tasks", "compr"), ("runs", "run-1")):
        which.add_argument(f"--{level}", metavar="NAME", nargs="+", action="extend", help=f"only these ({example} ...)")
    which.add_argument("--limit", metavar="N", type=int, help="make at most N recordings")
    which.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[],
                       help="options of the corpus; values as in JSON, other text is taken as it is")  # fmt: skip
    how = parser.add_argument_group("how")
    how.add_argument("--method", choices=("fast", "mne"), help="fast: in bounded memory; mne: MNE's own functions")
    how.add_argument("--low", metavar="HZ", type=float, help="edge of the high-pass (default: 0.1)")
    how.add_argument("--high", metavar="HZ", type=float, help="edge of the low-pass (default: 40)")
    how.add_argument("--rate", metavar="HZ", type=float, help="samples a second (default: 50)")
    how.add_argument("--bads", choices=("mask", "interpolate", "keep"), default="mask",
                     help="channels marked bad: named in the store (mask, the default), made from their neighbours "
                     "(interpolate), or treated as good (keep)")  # fmt: skip
    how.add_argument("--reference", choices=("average", "recorded"),
                     help="electrodes: less the mean of the good ones (average, the default), or as recorded; MEG "
                     "sensors have no reference")  # fmt: skip
    how.add_argument("--repair", action="store_true",
                     help="read what is stored, codes too, and make again what is damaged")  # fmt: skip
    how.add_argument("--dry-run", action="store_true", help="say what there is to do, and do nothing")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--workers", metavar="N", type=int,
                         help="recordings at once, each in a process of one thread (default: one a processor; "
                         "0: in this process)")  # fmt: skip
    machine.add_argument("--dask", metavar="ADDRESS", help="use the Dask cluster at this address, where files have "
                         "the same paths on all machines; local: processes that Dask starts here")  # fmt: skip
    codes = parser.add_argument_group("codes of a tokenizer")
    codes.add_argument("--codes", metavar="T", help="encode the windows with this tokenizer (a file or hub name)")
    codes.add_argument("--window", metavar="S", type=float, help="seconds in a window (default: 150)")
    codes.add_argument("--words", action="store_true", help="encode the groups of words too")
    codes.add_argument("--device", metavar="D", help="auto (the default), cpu, cuda, cuda:1, mps")
    said = parser.add_argument_group("what is said of it")
    said.add_argument("--report", metavar="FILE.html", type=Path, help="a page with a picture a recording, and a .json")
    said.add_argument("--report-limit", metavar="N", type=int, default=300,
                      help="draw at most N recordings, those with most to look at (default: %(default)s)")  # fmt: skip
    said.add_argument("--summary", metavar="FILE.json", type=Path, help="all that is said at the end, for programs")
    said.add_argument("--overwrite", action="store_true", help="replace an older report or summary")


def run(args: argparse.Namespace) -> int:
    """Prepare, report, and say what was done; 1 if there are recordings that could not be prepared."""
    from megxl.data.preparing import plan_corpus, prepare_corpus

    request = _request(args)
    _refuse_codes_without_tokenizer(args)
    if args.dry_run:
        return _say_plan(args, plan_corpus(request))
    _check_outputs(args)
    encode = _encoder(args)
    from megxl.cli.prepare_progress import shown_preparation

    try:
        with shown_preparation() as watcher:
            result = prepare_corpus(request, watcher)
        without_codes: dict[str, str] = {}
        rows: list[tuple[str, object]] = list(result.rows())
        for what, report in encode(result.keys):
            rows.append((f"codes of {what}", report.summary))
            without_codes |= {f"{key} ({what})": reason for key, reason in report.failed.items()}
    except (KeyboardInterrupt, SystemExit):
        print("\nmegxl: what is done is in the store; the same command goes on from here.", file=sys.stderr)
        raise
    rows += _written(args, result)
    _say_result(args, result, rows, without_codes)
    return 0 if result.complete and not without_codes else 1


def _request(args: argparse.Namespace) -> "Request":
    from megxl.cli.key_values import key_values
    from megxl.corpora.corpus import Selection, corpus_named
    from megxl.data.preparing import Request
    from megxl.signals.preparation import Preparation

    chosen = {"low_hz": args.low, "high_hz": args.high, "sfreq_hz": args.rate}
    chosen |= {"method": args.method, "reference": args.reference}
    settings: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    return Request(
        corpus=corpus_named(args.corpus, key_values(args.set)),
        root=args.root,
        store=args.store,
        selection=Selection(subjects=args.subjects, sessions=args.sessions, tasks=args.tasks, runs=args.runs),
        settings=Preparation(**settings),
        bads=args.bads,
        workers=args.workers,
        dask=args.dask,
        repair=args.repair,
        limit=args.limit,
    )


def _refuse_codes_without_tokenizer(args: argparse.Namespace) -> None:
    from megxl.errors import InputError

    given = {"--window": args.window is not None, "--words": args.words, "--device": args.device is not None}
    if args.codes is None and (idle := [name for name, is_given in given.items() if is_given]):
        raise InputError(f"{', '.join(idle)}: of use with --codes alone; name a tokenizer with it, or leave this out.")


def _check_outputs(args: argparse.Namespace) -> None:
    """Refuse what cannot be written now, not after a night of work."""
    from megxl.placing import free_to_write

    if args.report is not None:
        from megxl.reporting.quality_page import check_quality_page

        check_quality_page(args.report, overwrite=args.overwrite)
    if args.summary is not None:
        free_to_write(args.summary, overwrite=args.overwrite)


def _encoder(args: argparse.Namespace) -> "Callable[[Sequence[str]], Iterator[tuple[str, CodesReport]]]":
    """Load the tokenizer, before long work; what it gives encodes recordings and says what for."""
    if args.codes is None:
        return lambda keys: iter(())
    from megxl.cli.loading import choose_device
    from megxl.cli.window_progress import window_progress
    from megxl.data.code_grid import WindowGrid
    from megxl.data.codes import write_codes
    from megxl.data.groups import Grouping
    from megxl.data.preparing.summary import counted
    from megxl.store.store import Store
    from megxl.tokenizer.biocodec import BioCodec

    windows = WindowGrid() if args.window is None else WindowGrid(window_s=args.window)
    grids = [("windows", "windows", windows), *([("words", "groups of words", Grouping())] if args.words else [])]
    tokenizer, device = BioCodec.from_pretrained(args.codes), choose_device(args.device or "auto")

    def encode(keys: "Sequence[str]") -> "Iterator[tuple[str, CodesReport]]":
        store = Store(args.store)
        recordings = store.recordings(keys)
        for what, unit, grid in grids:
            print(f"encoding the {what} of {counted(len(recordings), 'recording')}", file=sys.stderr, flush=True)
            with window_progress("encoding", unit) as advance:
                report = write_codes(
                    store, recordings, tokenizer, grid, device=device, advance=advance, repair=args.repair
                )
            yield what, report

    return encode


def _written(args: argparse.Namespace, result: "Result") -> "Iterator[tuple[str, object]]":
    """Write the page and the summary that were asked for, and name them."""
    if args.summary is not None:
        from megxl.placing import placed

        with placed(args.summary, folder=False) as part:
            part.write_text(json.dumps(result.to_json(), indent=1), encoding="utf-8")
        yield "summary", args.summary
    if args.report is not None and (result.keys or result.outdated):
        from megxl.reporting.quality_page import write_quality_page
        from megxl.store.store import Store

        recordings = Store(args.store).recordings([*result.keys, *result.outdated])
        how = {"pictures": args.report_limit, "overwrite": args.overwrite, "outdated": result.outdated}
        write_quality_page(args.report, recordings, rows=result.preparation_rows(), **how)
        yield "report", args.report


def _say_plan(args: argparse.Namespace, plan: "Plan") -> int:
    from megxl.cli.tables import print_table
    from megxl.data.preparing.summary import counted, size

    rows: list[tuple[str, object]] = [("current", counted(len(plan.current), "recording"))]
    rows += [("to make", f"{count}: {reason}") for reason, count in plan.reasons().items()]
    if plan.n_bytes:
        rows.append(("to read", size(plan.n_bytes)))
    if plan.waiting:
        rows.append(("left", f"{counted(len(plan.waiting), 'recording')} for another time (--limit)"))
    unlooked = {"--codes": args.codes, "--report": args.report, "--summary": args.summary}
    if names := [name for name, value in unlooked.items() if value is not None]:
        rows.append(("not looked at", ", ".join(names)))
    rows += [("damaged", f"{key}: {reason}") for key, reason in plan.damaged.items()]
    rows += [("", f"{step.job.key}: {step.reason}") for step in plan.steps[:_MOST_LISTED]]
    if (more := len(plan.steps) - _MOST_LISTED) > 0:
        rows.append(("", f"and {more} more"))
    print_table(f"{args.corpus}: what there is to do", rows)
    return 1 if plan.damaged else 0


def _say_result(
    args: argparse.Namespace, result: "Result", rows: list[tuple[str, object]], without_codes: dict[str, str]
) -> None:
    from megxl.cli.tables import print_table

    print_table(f"{args.corpus}: prepared", [*rows, ("store", args.store)])
    for outcome in result.failed:
        print(f"failed: {outcome.key}: {outcome.reason}")
        if outcome.unexpected and args.debug:
            print(outcome.details, file=sys.stderr)
    for key, reason in result.damaged.items():
        print(f"damaged: {key}: {reason}")
    for key, reason in without_codes.items():
        print(f"no codes: {key}: {reason}")
    if result.damaged:
        print("The damaged recordings are not used; the same command with --repair makes them again.")
    if any(outcome.unexpected for outcome in result.failed) and not args.debug:
        print("--debug shows where an error came from that nobody foresaw.")
