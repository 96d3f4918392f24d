"""`megxl demo`: all of it once, on a recording made up on the spot and with random weights."""

import argparse
from pathlib import Path

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
    import torch

    from megxl.cli.progress import shown_progress
    from megxl.cli.tables import print_table
    from megxl.corpora.simulated import make_recording
    from megxl.errors import InputError
    from megxl.extraction import ExtractionSettings, embed_prepared, prepare_recording
    from megxl.model.megxl import MEGXL
    from megxl.reporting.report import write_report
    from megxl.signals.reading import open_recording
    from megxl.sizes import PRESETS
    from megxl.tokenizer.biocodec import BioCodec

    if not 1 <= args.seconds <= 3600:
        raise InputError(f"--seconds {args.seconds:g}: choose 1 to 3600.")
    features, report = _free_places(args.out, args.overwrite)
    source = args.recording
    if source is None:
        source = args.out / "simulated_raw.fif"
        args.out.mkdir(parents=True, exist_ok=True)
        make_recording(args.seconds).save(source, overwrite=True, verbose="ERROR")
    raw = open_recording(source)
    torch.manual_seed(0)
    model = MEGXL(PRESETS[args.size], BioCodec())
    settings = ExtractionSettings(pooling="sensor")
    with shown_progress() as clock:
        prepared = prepare_recording(model, raw, settings, progress=clock)
        args.out.mkdir(parents=True, exist_ok=True)  # only now, so that an unfit recording leaves nothing
        embedding = embed_prepared(model, prepared, settings, out=features, overwrite=True, progress=clock)
    n_parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    write_report(report, embedding, raw, prepared, overwrite=True)
    print_table(
        "demo: done",
        [
            ("recording", source),
            ("model", f"{args.size}, {n_parameters:,} parameters, never trained"),
            ("features", f"{features} ({' x '.join(map(str, embedding.features.shape))}: windows x sensors x width)"),
            ("time", clock.summary()),
            ("report", report),
        ],
        embedding.warning,
    )
    print(_NEXT.format(report=report))
    return 0


def _free_places(folder: Path, overwrite: bool) -> tuple[Path, Path]:
    """Places of features and report in a folder that need not exist: free, or to be replaced."""
    from megxl.errors import InputError
    from megxl.extraction import check_output
    from megxl.reporting.report import check_report

    features, report = folder / "features.npz", folder / "report.html"
    if folder.is_dir():
        check_output(features, overwrite=overwrite)
        check_report(report, overwrite=overwrite)
    elif folder.exists():
        raise InputError(f"{folder} is a file: the demo needs a folder (--out).")
    return features, report
