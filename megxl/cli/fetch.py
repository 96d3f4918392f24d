"""`megxl fetch`: a corpus from where it is published."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megxl.corpora.corpus import Corpus
    from megxl.corpora.fetching.download import Plan
    from megxl.corpora.fetching.manifest import Manifest
    from megxl.corpora.fetching.origins import Origin
    from megxl.corpora.fetching.remote import Source

_DESCRIPTION = """\
Fetch a corpus from where it is published: LibriBrain (Hugging Face), SMN4Lang (OpenNeuro), MEG-MASC (OSF), Armeni and
MOUS (Radboud Data Repository, with an account). For CamCAN and OMEGA the steps of the application are printed.

The licence and the size are shown before anything is downloaded. A stopped download goes on where it was, if the file
is still the same; each file is checked for its size, its checksum where the source tells one, and for being what its
name says (a login page is not a recording). ROOT/.megxl-fetch.json says what was fetched, with the SHA-256 of each
file. A file that was published anew is fetched again if its size, checksum or address has changed; where a source tells
no checksums and keeps its addresses (OSF, Radboud), another version of the same size is not noticed. By default, MEG
and words alone: no MRI.

Exit code 1: nothing was fetched because access must be asked for first, or some files failed."""

_EXAMPLES = """\
examples:
  megxl fetch smn4lang /data/ds004078 --dry-run                      what there is, and how large
  megxl fetch smn4lang /data/ds004078 --subjects sub-01 sub-02
  megxl fetch mous /data/mous --include 'sub-V*/meg/**'              readers; listeners, the usual files, have no words
  megxl fetch libribrain /data/libribrain --include 'Sherlock1/**' --yes
  RADBOUD_USERNAME=... RADBOUD_PASSWORD=... megxl fetch armeni /data/armeni
  OPENNEURO_SOURCE=nemar megxl fetch smn4lang /data/ds004078         from the mirror, which publishes checksums
"""

_MOST_LISTED = 20


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl fetch` to the commands."""
    parser = subparsers.add_parser(
        "fetch", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", metavar="CORPUS", help="camcan, mous, smn4lang, meg_masc, armeni, libribrain, omega")
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder to put it in; made if not there")
    parser.add_argument("--subjects", metavar="NAME", nargs="+", action="extend", help="only these (sub-01 ...)")
    parser.add_argument("--include", metavar="PATTERN", nargs="+", action="extend",
                        help="other files than the usual ones, as in 'sub-*/anat/**'")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show what there is, download nothing")
    parser.add_argument("--yes", action="store_true", help="accept the licence and start without asking")
    parser.add_argument("--workers", metavar="N", type=int, default=4, help="files at once (default: 4)")


def run(args: argparse.Namespace) -> int:
    """Show the licence, list, ask, fetch, report."""
    from megxl.corpora.corpus import corpus_named
    from megxl.corpora.fetching.download import fetch, plan_fetch
    from megxl.corpora.fetching.manifest import Manifest
    from megxl.corpora.fetching.origins import ORIGINS
    from megxl.corpora.fetching.selection import Choice
    from megxl.data.preparing.summary import counted
    from megxl.errors import InputError

    if args.workers < 1:
        raise InputError(f"--workers {args.workers}: at least 1 is needed.")
    if args.root.exists() and not args.root.is_dir():
        raise InputError(f"{args.root} is a file: give a folder.")
    corpus = corpus_named(args.corpus)
    origin = ORIGINS.get(corpus.name)
    if origin is None:
        raise InputError(f"{args.corpus} is published nowhere that is known here; allowed: {', '.join(ORIGINS)}.")
    _print_corpus(corpus, origin)
    if origin.source is None or origin.lacks():
        _print_steps(corpus, origin, args.root)
        return 0 if args.dry_run else 1
    source = origin.source()
    facts = {"corpus": corpus.name, "source": source.name, "licence": corpus.licence, "citation": corpus.citation}
    manifest = Manifest.of(args.root, facts)
    print(f"asking {source.name} for its files ...", file=sys.stderr)
    plan = plan_fetch(source, args.root, Choice(patterns=args.include or origin.patterns, subjects=args.subjects))
    _print_plan(plan, source, args.root)
    if args.dry_run:
        return 0
    if plan.missing:
        _ask(args, plan, corpus)
        with _bar(plan.missing_bytes) as advance:
            result = fetch(source, plan, args.root, manifest, workers=args.workers, advance=advance)
        for name, reason in sorted(result.failed.items()):
            print(f"failed: {name}: {reason.removeprefix(name + ': ')}")
        if left := len(plan.missing) - len(result.done):
            print(f"still to come: {counted(left, 'file')}; the same command goes on from here.")
            return 1
    print(f"complete: {_checked(plan, manifest)}; next: megxl prepare {corpus.name} {args.root} --store STORE")
    return 0


def _print_corpus(corpus: "Corpus", origin: "Origin") -> None:
    from megxl.cli.tables import print_table

    rows = [("licence", corpus.licence), ("page", origin.page)]
    print_table(f"{corpus.name}: {corpus.citation}", rows + ([("note", origin.note)] if origin.note else []))


def _checked(plan: "Plan", manifest: "Manifest") -> str:
    """Say how the files of a plan were checked, which the manifest knows."""
    from megxl.data.preparing.summary import counted

    verified = sum(manifest.files[file.path].checksum is not None for file in plan.files)
    if verified == len(plan.files):
        return f"{counted(verified, 'file')} verified by checksum"
    if not verified:
        return f"{counted(len(plan.files), 'file')} checked by size alone, the source tells no checksums"
    return f"{counted(verified, 'file')} verified by checksum, {len(plan.files) - verified:,} checked by size alone"


def _print_steps(corpus: "Corpus", origin: "Origin", root: Path) -> None:
    if lacks := origin.lacks():
        print(f"An account is needed ({' and '.join(lacks)} not set):")
    else:
        print("Access must be applied for; nothing can be fetched here. The steps:")
    for number, step in enumerate(origin.steps, start=1):
        print(f"  {number}. {step}")
    print(f"{corpus.layout} Then: megxl prepare {corpus.name} {root} --store STORE")


def _print_plan(plan: "Plan", source: "Source", root: Path) -> None:
    from megxl.cli.tables import print_table
    from megxl.corpora.fetching.download import by_subject
    from megxl.data.preparing.summary import counted

    unknown = f", and {counted(plan.unknown_sizes, 'file')} of unknown size" if plan.unknown_sizes else ""
    checked = sum(file.checksum is not None for file in plan.files)
    rows: list[tuple[str, object]] = [
        ("all", f"{counted(len(plan.files), 'file')}, {_size(plan.total_bytes)}{unknown}"),
        ("here", counted(len(plan.present), "file")),
        ("to come", f"{counted(len(plan.missing), 'file')}, {_size(plan.missing_bytes)}"),
        ("checksums", _checksums(checked, len(plan.files))),
    ]
    subjects = sorted(by_subject(plan.files).items())
    rows += [
        (name or "top", f"{counted(n, 'file')}, {_size(n_bytes)}") for name, (n, n_bytes) in subjects[:_MOST_LISTED]
    ]
    if (more := len(subjects) - _MOST_LISTED) > 0:
        rows.append(("", f"and {counted(more, 'more subject')}"))
    print_table(f"{source.name}, to {root}", rows)


def _checksums(told: int, n_files: int) -> str:
    from megxl.data.preparing.summary import counted

    if told == n_files:
        return "of all files"
    return (
        f"of {counted(told, 'file')}; the others are checked by size alone" if told else "none: checked by size alone"
    )


def _ask(args: argparse.Namespace, plan: "Plan", corpus: "Corpus") -> None:
    from megxl.errors import InputError

    if args.yes:
        return
    if not sys.stdin.isatty():
        raise InputError("Nobody can be asked here: --yes accepts the licence and starts.")
    answer = input(f"Download {_size(plan.missing_bytes)} under the licence {corpus.licence!r}? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise InputError("Nothing was downloaded.")


@contextmanager
def _bar(n_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show how much has come, on a terminal."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda n_bytes: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=n_bytes or None)
        yield lambda n_bytes: bars.advance(task, n_bytes)


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
