"""`megxl convert`: a checkpoint from one format to the other, bit by bit."""

import argparse
import re
from pathlib import Path

from megxl.checkpoints.checkpoint import KIND_NAMES, Checkpoint, sha256_of, weights_warning
from megxl.checkpoints.files import read_checkpoint, write_checkpoint
from megxl.checkpoints.folder import TENSORS, is_ours_alone
from megxl.checkpoints.released import write_released
from megxl.errors import InputError
from megxl.placing import free_to_write

_EXAMPLES = """examples:
  megxl convert meg-xl-med.ckpt meg-xl-med           a released model to a folder in our format
  megxl convert biocodec_ckpt.pt biocodec            a released codec
  megxl convert pnpl/MEG-XL/meg-xl-med.ckpt med      straight from the hub
  megxl convert meg-xl-med back.ckpt                 and back, for the published code
  megxl convert newer.ckpt newer --allow-unmatched 'ema.*'   leave out keys that this version does not know
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl convert` to the commands."""
    parser = subparsers.add_parser(
        "convert",
        help="convert a checkpoint between the released formats and ours",
        description="Convert a checkpoint. Names of every key are checked; the weights stay the same bit by bit.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="IN", help="released .ckpt or .pt file, folder in our format, or hub name")
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="ends in .ckpt or .pt: released format; else a folder in ours"
    )
    parser.add_argument(
        "--allow-unmatched",
        metavar="PATTERN",
        nargs="+",
        action="extend",
        default=[],
        help="unknown keys of IN that may be left out (patterns as in file names)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an older OUT (a folder only if ours)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert and print what became of every key."""
    released = args.out.suffix in (".ckpt", ".pt")
    if not released and re.fullmatch(r"\.[A-Za-z]\w{0,11}", args.out.suffix):
        raise InputError(
            f"{args.out.name} would become a folder of that name. "
            "End OUT in .ckpt or .pt for the released format, or give a folder's name without an ending."
        )
    _refuse_own_input(args.source, args.out)
    free_to_write(args.out, overwrite=args.overwrite, ours=None if released else is_ours_alone)
    checkpoint = read_checkpoint(args.source, allow_unmatched=args.allow_unmatched)
    print("\n".join(_report(args.source, checkpoint)))
    if released:
        written = write_released(args.out, checkpoint, overwrite=args.overwrite)
        print(f"wrote   {written} (released format), SHA-256 {sha256_of(written)}")
    else:
        written = write_checkpoint(args.out, checkpoint, overwrite=args.overwrite)
        print(f"wrote   {written} (our format), SHA-256 of {TENSORS} {sha256_of(written / TENSORS)}")
    return 0


def _refuse_own_input(source: str, out: Path) -> None:
    """Never replace what is being converted: the file or folder that was named, or the folder of a named part."""
    given = Path(source).expanduser()
    if given.exists() and out.exists() and any(out.samefile(path) for path in (given, given.parent)):
        raise InputError(f"{out} is, or holds, the checkpoint that is to be converted: give OUT another name.")


def _report(source: str, checkpoint: Checkpoint) -> list[str]:
    report, provenance = checkpoint.report, checkpoint.provenance
    values = sum(tensor.numel() for tensor in checkpoint.tensors.values())
    lines = [
        f"read    {source}: {KIND_NAMES[checkpoint.kind]}, {values:,} numbers, SHA-256 {provenance['sha256']}",
        f"keys    {report.matched} matched, {len(report.derived)} derived, "
        f"{len(report.unmatched)} left out, {len(report.missing)} missing",
    ]
    named = {"left out": report.unmatched, "missing": report.missing, "skipped": report.skipped_sections}
    lines += [f"        {what}: {', '.join(names)}" for what, names in named.items() if names]
    warning = weights_warning(provenance)
    if warning is not None:
        lines.append(f"NOTE    {warning}")
    return lines
