"""`megxl doctor`: what is installed, what this machine has, which corpora and weights are here, how to get the rest."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_DESCRIPTION = """\
Say what is installed and what each part is for, which processors, GPUs and disk space there are, and which corpora and
released weights are on this machine; of what is missing, how it is got: licence, page, account, command.

Nothing is downloaded, written or sent."""

_EXAMPLES = """\
examples:
  megxl doctor
  megxl doctor --data /data                    corpora in /data/camcan, /data/mous, ...
  megxl doctor --store /scratch/store --json   for other programs
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl doctor` to the commands."""
    parser = subparsers.add_parser(
        "doctor", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="FOLDER", type=Path,
                        help="folder with one folder a corpus, under its usual name")  # fmt: skip
    parser.add_argument("--store", metavar="S", type=Path, default=Path("data/cache"),
                        help="where prepared recordings are, or shall be (default: data/cache)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Look, and print."""
    from megxl.cli import doctor_facts
    from megxl.errors import InputError

    if args.data is not None and not args.data.is_dir():
        raise InputError(f"--data {args.data} is no folder; give one that holds a folder a corpus (camcan, mous, ...).")
    facts = {
        "packages": doctor_facts.packages(),
        "machine": doctor_facts.machine(),
        "store": {"path": str(args.store), "free_bytes": doctor_facts.free_bytes(args.store)},
        "data": None
        if args.data is None
        else {"path": str(args.data), "free_bytes": doctor_facts.free_bytes(args.data)},
        "corpora": list(doctor_facts.corpora(args.data)),
        "weights": doctor_facts.weights(),
    }
    if args.json:
        print(json.dumps(facts, indent=1))
        return 0
    _print_packages(facts["packages"])
    _print_machine(facts["machine"], facts["store"], facts["data"])
    _print_corpora(facts["corpora"], args.data)
    _print_weights(facts["weights"])
    return 0


def _print_packages(found: Mapping[str, Mapping[str, str | None]]) -> None:
    from megxl import __version__
    from megxl.cli.doctor_facts import PURPOSES
    from megxl.cli.tables import print_table

    if not found:
        rows = [("installed", "no: it is run from its source, so what is missing is not known; pip install -e .")]
        print_table(f"megxl {__version__}", rows)
        return
    rows = []
    for extra, versions in found.items():
        missing = [name for name, number in versions.items() if number is None]
        package = f"megxl[{extra}]" if extra else "megxl"
        lacking = f"lacks {', '.join(missing)}: pip install '{package}'"
        rows.append((PURPOSES[extra], lacking if missing else "ready"))
    print_table(f"megxl {__version__}, torch {found['']['torch']}: what can be done", rows)


def _print_machine(machine: Mapping[str, Any], store: Mapping[str, Any], data: Mapping[str, Any] | None) -> None:
    from megxl.cli.tables import print_table

    gpus = [f"{gpu['name']}, {_gb(gpu['memory_bytes'])}{'' if gpu['bfloat16'] else ', no bfloat16'}"
            for gpu in machine["gpus"]]  # fmt: skip
    none = "none; this torch was built without CUDA" if machine["cuda_of_torch"] is None else "none"
    rows = [
        ("system", machine["system"]),
        ("processors", machine["processors"]),
        ("memory", machine["memory_bytes"] and _gb(machine["memory_bytes"])),
        ("GPUs", "; ".join(gpus) or ("Apple (mps)" if machine["mps"] else none)),
        ("free for the store", f"{_gb(store['free_bytes'])} at {store['path']} (an hour of 306 sensors takes 0.22 GB)"),
    ]
    if data is not None:
        rows.append(("free for corpora", f"{_gb(data['free_bytes'])} at {data['path']}"))
    print_table("this machine", rows)


def _print_corpora(found: Sequence[Mapping[str, Any]], data: Path | None) -> None:
    from megxl.cli.tables import print_table

    for one in found:
        name, place = one["corpus"], one["root"] or str((data or Path("DATA")) / one["corpus"])
        there = one["recordings"] if isinstance(one["recordings"], str) else f"{one['recordings']} recordings"
        absent = "not looked for: name the folder of the corpora with --data" if data is None else "no"
        rows = [
            ("here", f"{one['root']}: {there}" if one["root"] else absent),
            ("size", one["size"]),
            ("licence", one["licence"]),
            ("page", one["page"]),
        ]
        if not one["root"]:
            rows += [(f"step {number}", step) for number, step in enumerate(one["steps"], start=1)]
            if one["get"]:
                rows.append(("get it", f"{one['get']} (with --dry-run: its exact size)"))
            else:
                rows.append(("put it", f"into {place}. {one['layout']}"))
        rows.append(("then", f"megxl prepare {name} {place} --store STORE"))
        print_table(name, rows)


def _print_weights(found: Mapping[str, str | None]) -> None:
    from megxl.checkpoints.hub import RELEASED_REPOSITORY
    from megxl.cli.doctor_facts import PUBLISHED_TOKENIZER, TOKENIZER_PAGE
    from megxl.cli.tables import print_table

    rows = []
    for name, place in found.items():
        how = f"--model {RELEASED_REPOSITORY}/{name} downloads it"
        if name == PUBLISHED_TOKENIZER.name:
            how = f"get it from {TOKENIZER_PAGE} and put it at {PUBLISHED_TOKENIZER}, or name it with --tokenizer"
        rows.append((name, place or f"no; {how}"))
    print_table("released weights", rows)


def _gb(number: int) -> str:
    return f"{number / 1e9:,.0f} GB"
