"""`megxl demo`: all of it once, on a recording made up on the spot and with random weights."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megxl.cli.progress import StageClock
    from megxl.extraction import Embedding

_DESCRIPTION = """\
Make a recording with the sensors of a Neuromag 306 system (or take one that you give), embed it with a model whose
weights are RANDOM, and write a report. It shows that everything works here; what the features say means nothing."""

_EXAMPLES = """\
examples:
  megxl demo                              60 s of 306 sensors through the full-size model, into the folder demo
  megxl demo --size small --seconds 20    quicker
  megxl demo sub-01_meg.fif --out here    with your own recording
"""

_NEXT = """\
next:
  open {report}
  with released weights (https://huggingface.co/pnpl/MEG-XL), the same on your own data:
    megxl embed RECORDING --model meg-xl-med.ckpt --out features.npz --report features.html"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl demo` to the commands."""
    parser = subparsers.add_parser(
        "demo", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "recording", metavar="RECORDING", type=Path, nargs="?", help="your own, instead of a made-up one"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("demo"), help="where all goes (default: demo)"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the made-up recording (default: 60)")
    parser.add_argument("--size", choices=("tiny", "small", "med"), default="med",
                        help="of the model; med is the published size (default)")  # fmt: skip

    parser.add_argument("--overwrite", action="store_true", help="replace the output of an earlier demo")


def run(args: argparse.Namespace) -> int:
    """Make a recording, embed it, report, and say what to do next."""
    from megxl.cli.progress import shown_progress
    from megxl.errors import InputError

    if not 1 <= args.seconds <= 3600:
        raise InputError(f"--seconds {args.seconds:g}: choose 1 to 3600.")
    _check_places(args)
    with _folder(args.out), shown_progress() as clock:
        embedding, n_parameters = _embed(args, clock)
    _say(args, embedding, n_parameters, clock)
    return 0


def _embed(args: argparse.Namespace, clock: "StageClock") -> tuple["Embedding", int]:
    """Features, and the number of the model's parameters."""
    import torch

    from megxl.corpora.simulated import make_recording
    from megxl.extraction import ExtractionSettings, embed_prepared, prepare_recording
    from megxl.model.megxl import MEGXL
    from megxl.placing import placed
    from megxl.reporting.report import write_report
    from megxl.signals.reading import open_recording
    from megxl.sizes import PRESETS
    from megxl.tokenizer.biocodec import BioCodec

    source = args.recording or args.out / _RECORDING
    if args.recording is None:
        with placed(source, folder=False, workspace=True) as part:
            make_recording(args.seconds).save(part / source.name, verbose="ERROR")
    raw = open_recording(source)
    torch.manual_seed(0)
    model = MEGXL(PRESETS[args.size], BioCodec())
    settings = ExtractionSettings(pooling="sensor")
    prepared = prepare_recording(model, raw, settings, progress=clock)
    features, overwrite = args.out / _FEATURES, args.overwrite
    embedding = embed_prepared(model, prepared, settings, out=features, overwrite=overwrite, progress=clock)
    write_report(args.out / _REPORT, embedding, raw, prepared, overwrite=overwrite)
    return embedding, sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _say(args: argparse.Namespace, embedding: "Embedding", n_parameters: int, clock: "StageClock") -> None:
    from megxl.cli.tables import print_table

    shape = " x ".join(map(str, embedding.features.shape))
    report = args.out / _REPORT
    print_table(
        "demo: done",
        [
            ("recording", args.recording or args.out / _RECORDING),
            ("model", f"{args.size}, {n_parameters:,} parameters, never trained"),
            ("features", f"{args.out / _FEATURES} ({shape}: windows x sensors x width)"),
            ("time", clock.summary()),
            ("report", report),
        ],
        embedding.warning,
    )
    print(_NEXT.format(report=report))


_RECORDING, _FEATURES, _REPORT = "simulated_raw.fif", "features.npz", "report.html"


def _check_places(args: argparse.Namespace) -> None:
    """Refuse a folder, which need not exist, in which something would be replaced without leave."""
    from megxl.errors import InputError
    from megxl.extraction import check_output
    from megxl.placing import free_to_write
    from megxl.reporting.report import check_report

    if args.out.is_dir():
        if args.recording is None:
            free_to_write(args.out / _RECORDING, overwrite=args.overwrite)
        check_output(args.out / _FEATURES, overwrite=args.overwrite)
        check_report(args.out / _REPORT, overwrite=args.overwrite)
    elif args.out.exists():
        raise InputError(f"{args.out} is a file: the demo needs a folder (--out).")


@contextmanager
def _folder(path: Path) -> Iterator[None]:
    """Make a folder with those above it; what was made here and is empty at the end, as after an error, goes again."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for folder in made:
            with suppress(OSError):  # a folder that holds something stays
                folder.rmdir()
