"""`megxl embed`: a recording to features."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megxl.cli.progress import StageClock
    from megxl.extraction import Embedding

_DESCRIPTION = """\
Turn a recording (FIF, CTF .ds, KIT .sqd or .con, 4D, EEGLAB, BrainVision, EDF: whatever MNE reads) into the model's
features: sensors are chosen, filtered and resampled, cut into windows of 150 s, tokenized and run through the model.

The names of the files are recorded in what is written, their folders and the fields of their headers are not: rename a
file whose name identifies a person."""

_EXAMPLES = """\
examples:
  megxl embed sub-01_meg.fif --model meg-xl-med.ckpt --tokenizer biocodec_ckpt.pt --out features.npz
  megxl embed sub-01_meg.ds --model meg-xl-med.ckpt --out features --pooling sensor --report features.html
      a folder of memory-mappable .npy, one vector a sensor and window; a page to look at
  megxl embed night.fif --model pnpl/MEG-XL/meg-xl-med.ckpt --out night --device cuda --dtype bfloat16
  megxl embed rest.set --montage electrodes.sfp --model meg-xl-med.ckpt --out rest.npz
  megxl embed rest.vhdr --montage standard_1005 --reference recorded --model meg-xl-med.ckpt --out rest.npz
  megxl embed sub-01_meg.fif --model meg-xl-med.ckpt --out both.npz --channels meg+eeg --exclude 'EEG 057'

in Python:
  from megxl import load_embedding
  load_embedding("features.npz").features
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl embed` to the commands."""
    parser = subparsers.add_parser(
        "embed", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "recording", metavar="RECORDING", type=Path, help="a file, or the folder of a CTF or 4D recording"
    )
    weights = parser.add_argument_group("weights")
    weights.add_argument(
        "--model", metavar="M", required=True, help="released .ckpt, folder in our format, or hub name"
    )
    weights.add_argument("--tokenizer", metavar="T", help="the codec, if the model's file carries none")
    weights.add_argument("--compat", choices=("default", "reference"), default="default",
                         help="reference: repeat what is questionable in the published system")  # fmt: skip
    weights.add_argument("--allow-unmatched", metavar="PATTERN", nargs="+", action="extend", default=[],
                         help="unknown keys of the files that may be left out (patterns as in file names)")  # fmt: skip
    signal = parser.add_argument_group("signal")
    signal.add_argument("--channels", choices=("auto", "meg", "mag", "grad", "eeg", "meg+eeg"), default="auto",
                        help="auto: all MEG sensors, or else the electrodes")  # fmt: skip
    signal.add_argument(
        "--exclude", metavar="NAME", nargs="+", action="extend", default=[], help="channels to leave out"
    )
    signal.add_argument("--bads", choices=("mask", "interpolate", "keep"), default="mask",
                        help="channels marked bad: no part in attention (mask, the default), made from their "
                        "neighbours (interpolate), or treated as good (keep)")  # fmt: skip
    signal.add_argument("--reference", choices=("average", "recorded"), default="average",
                        help="electrodes: less the mean of the good ones (average, the default), or as recorded; MEG "
                        "sensors have no reference")  # fmt: skip
    signal.add_argument("--montage", metavar="FILE", help="positions of electrodes: a file, or a name that MNE knows")
    signal.add_argument("--allow-maxshield", action="store_true", help="read raw MaxShield data as they are")
    features = parser.add_argument_group("features")
    features.add_argument("--out", metavar="F", type=Path, required=True,
                          help="one file (.npz), or a folder of memory-mappable .npy")  # fmt: skip
    features.add_argument("--overwrite", action="store_true", help="replace older output of the same name")
    features.add_argument("--window", metavar="S", type=float, default=150.0,
                          help="seconds seen at once: a multiple of 0.24, best of 6 (default: 150)")  # fmt: skip
    features.add_argument("--pooling", choices=("none", "sensor", "time"), default="none",
                          help="sensor: one vector a sensor and window; time: one a time step")  # fmt: skip
    features.add_argument(
        "--layer", metavar="K", type=int, default=-1, help="0: embedding, 1...: layers, -1: last (default)"
    )
    features.add_argument("--report", metavar="FILE.html", type=Path, help="a page with notes and figures")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", metavar="D", default="auto",
                         help="auto (the default), cpu, cuda, cuda:1, mps: where the model runs")  # fmt: skip
    machine.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32",
                         help="arithmetic of the model; features are stored as float32")  # fmt: skip
    machine.add_argument("--threads", metavar="N", type=int, help="processor threads of PyTorch")


def run(args: argparse.Namespace) -> int:
    """Embed, report, and say what was done."""
    import torch

    from megxl.cli.loading import choose_device, load_model
    from megxl.cli.progress import shown_progress
    from megxl.errors import InputError
    from megxl.extraction import ExtractionSettings, check_model, check_output, embed_prepared, prepare_recording
    from megxl.reporting.report import check_report, write_report
    from megxl.signals.reading import open_recording

    settings = ExtractionSettings(
        window_s=args.window,
        channels=args.channels,
        exclude=tuple(args.exclude),
        bads=args.bads,
        reference=args.reference,
        pooling=args.pooling,
        layer=args.layer,
        dtype=args.dtype,
    )
    check_output(args.out, overwrite=args.overwrite)
    if args.report is not None:
        if args.out.resolve() in args.report.resolve().parents:
            raise InputError(
                f"--report {args.report} lies in the folder of features ({args.out}), which holds nothing else: "
                "put the report beside it."
            )
        check_report(args.report, overwrite=args.overwrite)
    if args.threads is not None:
        if args.threads < 1:
            raise InputError(f"--threads {args.threads}: at least 1 is needed.")
        torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    raw = open_recording(args.recording, allow_maxshield=args.allow_maxshield, montage=args.montage)
    model = load_model(args.model, args.tokenizer, compat=args.compat, allow_unmatched=args.allow_unmatched)
    check_model(model, settings)
    with shown_progress() as clock:
        prepared = prepare_recording(model, raw, settings, progress=clock)
        embedding = embed_prepared(
            model, prepared, settings, out=args.out, overwrite=args.overwrite, device=device, progress=clock
        )
    if args.report is not None:
        write_report(args.report, embedding, raw, prepared, overwrite=args.overwrite)
    _summarise(args, embedding, clock)
    return 0


def _summarise(args: argparse.Namespace, embedding: "Embedding", clock: "StageClock") -> None:
    from megxl.cli.tables import print_table

    rows: list[tuple[str, object]] = [
        ("features", f"{' x '.join(map(str, embedding.features.shape))} ({_MEANING[args.pooling]})"),
        ("time", clock.summary()),
        *(("read", f"{name}, SHA-256 {digest}") for digest, name in _weight_files(embedding).items()),
        *(("note", note) for note in embedding.notes if note != embedding.warning),
        ("written", args.out),
    ]
    if args.report is not None:
        rows.append(("report", args.report))
    print_table(f"{args.recording.name}: embedded", rows, embedding.warning)


def _weight_files(embedding: "Embedding") -> dict[str, str]:
    """Names of the checkpoint files that were read, by SHA-256: one if the model carries its codec."""
    sources = [embedding.provenance[role] for role in ("model", "tokenizer")]
    return {source["sha256"]: source["file"] for source in sources}


_MEANING = {"none": "sensors x tokens x width", "sensor": "windows x sensors x width", "time": "tokens x width"}
