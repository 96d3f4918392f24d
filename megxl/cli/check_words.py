"""`megxl check-words`: see that words and signal are aligned, before a month of training."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megxl.reporting.word_locked import WordLocked
    from megxl.store.entry import StoredRecording
    from megxl.store.store import Store

_DESCRIPTION = """\
Average the signal of stored recordings around their words, and say whether what follows the words is more than chance.

Chance is the same words at other places of the same recording: the response must stand out from it. All onsets are
also moved together, up to 2 s to both sides: if the response is strongest somewhere else than near zero, words and
signal have different clocks, and the shift is named. In a short or noisy recording the response may be too weak to be
seen. A shift below 0.3 s is not called one, since responses differ in when they come (the page shows the peak)."""

_EXAMPLES = """\
examples:
  megxl check-words store                                       all recordings with words
  megxl check-words store --corpus armeni --out words.html      a page with figures: average, chance, scan, topography
  megxl check-words store --recording files/sub-01 --shift-scan 20
      look for a wrong delay of up to 20 s
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl check-words` to the commands."""
    parser = subparsers.add_parser(
        "check-words", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", metavar="STORE", type=Path, help="a store that megxl prepare has made")
    parser.add_argument("--corpus", metavar="C", help="only the recordings of this corpus")
    parser.add_argument("--recording", metavar="KEY", nargs="+", action="extend", default=[],
                        help="only these, as the store names them (armeni/sub-001_ses-001_task-compr)")  # fmt: skip
    parser.add_argument("--out", metavar="FILE.html", type=Path, help="a page to look at")
    parser.add_argument("--overwrite", action="store_true", help="replace an older page")
    parser.add_argument("--shift-scan", metavar="S", type=float, default=2.0,
                        help="move onsets up to S seconds to both sides (default: 2)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Average, judge, print a table, write the page; 0 whatever the verdicts are, 1 if something cannot be read."""
    from megxl.cli.tables import print_table
    from megxl.data.preparing.summary import counted
    from megxl.errors import InputError
    from megxl.reporting.word_locked import word_locked
    from megxl.store.keys import Damaged
    from megxl.store.store import Store

    if not 0.5 <= args.shift_scan <= 300:
        raise InputError(f"--shift-scan {args.shift_scan:g}: allowed are 0.5 to 300 s.")
    if args.out is not None:
        from megxl.reporting.report import check_report

        check_report(args.out, overwrite=args.overwrite)
    recordings = _chosen(Store(args.store), args.recording, args.corpus)
    with_words = [recording for recording in recordings if recording.words]
    if not with_words:
        where = f" of {args.corpus}" if args.corpus else ""
        have = "The only recording" if len(recordings) == 1 else f"None of the {len(recordings)} recordings"
        raise InputError(f"{have}{where} in {args.store} has {'no ' if len(recordings) == 1 else ''}words.")
    results: list[WordLocked] = []
    refused: list[str] = []
    unreadable = False
    for recording in with_words:
        try:
            results.append(word_locked(recording, args.shift_scan))
        except InputError as error:  # told below; the others are worth a look
            refused.append(str(error))
            unreadable |= isinstance(error, Damaged)
    rows: list[tuple[str, object]] = [(result.key, f"{result.verdict}: {result.sentence}") for result in results]
    rows += [("not averaged", sentence) for sentence in refused]
    if without := len(recordings) - len(with_words):
        rows.append(("without words", counted(without, "recording")))
    if args.out is not None:
        from megxl.reporting.word_page import write_word_page

        write_word_page(args.out, results, refused, overwrite=args.overwrite)
        rows.append(("page", args.out))
    print_table(f"{args.store.name}: words and signal", rows, _warning(results))
    return 1 if unreadable else 0


def _chosen(store: "Store", keys: list[str], corpus: str | None) -> "list[StoredRecording]":
    from megxl.errors import InputError

    there = store.corpora()
    if corpus is not None and corpus not in there:
        raise InputError(f"{store.path.name} has no corpus {corpus!r}; there are: {', '.join(there) or 'none'}.")
    if not (store.keys() if corpus is None else store.keys(corpus)):
        raise InputError(f"{store.path.name} holds no recordings; megxl prepare puts them there.")
    if strange := [key for key in keys if corpus is not None and not key.startswith(f"{corpus}/")]:
        raise InputError(f"{strange[0]} is no recording of the corpus {corpus}: leave out --corpus or --recording.")
    return store.recordings(keys or None, corpus)


def _warning(results: "list[WordLocked]") -> str | None:
    doubtful = sum(result.verdict in ("shifted", "no response") for result in results)
    return f"{doubtful} of {len(results)} recordings are not seen to be aligned." if doubtful else None
