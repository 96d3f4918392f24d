"""`megxl decode`: name the words that a person was hearing, one at each onset."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from megxl.decoding.decoded import DecodedRecording, DecodedWord

_DESCRIPTION = """\
Rank the words that a decoder knows at every word onset of a recording (FIF, CTF .ds, KIT, EEGLAB, whatever MNE reads,
or the folder of a recording in a store), prepared and decoded on the way that the decoder's training took.

Onsets must be told, and every candidate is of the decoder's vocabulary. Where the words that were said are known too,
it is counted how often they are among the best candidates, against chance."""

_EXAMPLES = """\
examples:
  megxl decode sub-01_meg.fif --words sub-01_words.tsv --model runs/armeni --out decoded.tsv --report decoded.html
      columns onset (seconds after the first sample), word and duration, of which the last two may lack
  megxl decode sub-01_meg.fif --words sub-01.TextGrid --set tier=words --model runs/armeni
      without --out and --report the words are printed
  megxl decode rest.vhdr --words triggers --set trigger_codes=11,12 --montage standard_1020 --model runs/eeg --out w.tsv
  megxl decode sub-01_meg.fif --words annotations --set annotation_pattern='word/*' --model runs/armeni --out w.tsv
  megxl decode store/armeni/sub-001_ses-010_task-compr --words stored --model runs/armeni --out w.tsv
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl decode` to the commands."""
    parser = subparsers.add_parser(
        "decode", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "recording", metavar="RECORDING", type=Path, help="a file, a CTF or 4D folder, or STORE/CORPUS/ID"
    )
    parser.add_argument("--words", metavar="EVENTS", required=True,
                        help="onsets, with or without words: .tsv, .csv, .TextGrid, a .txt that triggers time; or "
                        "annotations, triggers (of the recording), stored (of the store)")  # fmt: skip
    parser.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[],
                        help="how words are written: onset_column, word_column, time_unit, tier, annotation_pattern, "
                        "trigger_codes ..., as for megxl prepare files")  # fmt: skip
    parser.add_argument(
        "--model", metavar="RUN", type=Path, required=True, help="a run of megxl finetune or probe, or its model folder"
    )
    parser.add_argument("--out", metavar="FILE.tsv", type=Path, help="a line a word: candidates, scores, rank")
    parser.add_argument("--report", metavar="FILE.html", type=Path, help="a page to read")
    parser.add_argument("--overwrite", action="store_true", help="replace older output of the same name")
    parser.add_argument("--top", metavar="K", type=int, default=10, help="candidates a word (default: 10)")
    parser.add_argument("--channels", choices=("auto", "meg", "mag", "grad", "eeg", "meg+eeg"), default="auto",
                        help="auto: those of the decoder's kind")  # fmt: skip
    parser.add_argument(
        "--exclude", metavar="NAME", nargs="+", action="extend", default=[], help="sensors to leave out"
    )
    parser.add_argument("--reference", choices=("average", "recorded"),
                        help="what electrodes are measured against (default: as in the training)")  # fmt: skip
    parser.add_argument("--montage", metavar="FILE", help="positions of electrodes: a file, or a name that MNE knows")
    parser.add_argument("--allow-maxshield", action="store_true", help="read raw MaxShield data as they are")
    parser.add_argument("--device", metavar="D", default="auto", help="auto (the default), cpu, cuda, cuda:1, mps")


def run(args: argparse.Namespace) -> int:
    """Decode, write the table and the page, and say how good it is."""
    from megxl.cli.key_values import key_values
    from megxl.cli.loading import choose_device
    from megxl.cli.progress import shown_progress
    from megxl.decoding.decoded import check_table, write_decoded
    from megxl.decoding.decoder_files import read_decoder
    from megxl.decoding.recording import decode_recording
    from megxl.errors import InputError
    from megxl.reporting.report import check_report

    if args.top < 1:
        raise InputError(f"--top {args.top}: at least one candidate a word.")
    if args.out is not None:
        check_table(args.out, overwrite=args.overwrite)
    if args.report is not None:
        check_report(args.report, overwrite=args.overwrite)
    device = choose_device(args.device)
    saved = read_decoder(decoder_folder(args.model), device)
    with shown_progress() as clock:
        decoded = decode_recording(
            saved,
            args.recording,
            args.words,
            top=args.top,
            options=key_values(args.set),
            channels=args.channels,
            exclude=args.exclude,
            reference=args.reference,
            montage=args.montage,
            allow_maxshield=args.allow_maxshield,
            device=device,
            progress=clock,
        )
    if args.out is not None:
        write_decoded(args.out, decoded, overwrite=args.overwrite)
    if args.report is not None:
        from megxl.reporting.decoded_page import write_decoded_page

        write_decoded_page(args.report, decoded, overwrite=args.overwrite)
    _tell(args, decoded)
    return 0


def decoder_folder(path: Path) -> Path:
    """Find the folder of a decoder: a run's, or the one that was given.

    Raises
    ------
    InputError
        There is none; it says which command makes one.
    """
    from megxl.checkpoints.folder import is_ours
    from megxl.decoding.decoder_files import is_decoder
    from megxl.errors import InputError
    from megxl.training.runs import Run

    made = "megxl finetune and megxl probe make decoders"
    if not path.exists():
        raise InputError(f"--model {path} does not exist: give the folder of a run; {made}.")
    for folder in (path, path / "model"):
        if folder.is_dir() and is_decoder(folder):
            return folder
    for folder in (path, path / "model"):
        if folder.suffix in (".ckpt", ".pt") or is_ours(folder):
            raise InputError(
                f"--model {path}: a model that was pre-trained names no words; {made} of it "
                f"(megxl finetune model.criss_cross_checkpoint={folder} ...)."
            )
    if Run.exists(path):
        raise InputError(
            f"--model {path}: the run has no model yet; go on with it (resume=true) until it is finished. "
            "With control=frequency_only it never has one."
        )
    raise InputError(f"--model {path} holds no decoder of words; {made}.")


def _tell(args: argparse.Namespace, decoded: "DecodedRecording") -> None:
    from megxl.cli.tables import print_table
    from megxl.decoding.decoded import summary

    rows: list[tuple[str, object]] = []
    if args.out is None and args.report is None:
        rows += [(f"{word.word.onset_s:.2f} s", _line(word)) for word in decoded.words]
    decoder = f"{args.model.name}, {len(decoded.predictions.vocabulary)} words to choose from"
    rows += [("decoder", decoder), ("words", f"{len(decoded.predictions)} of {len(decoded.words)} decoded")]
    rows += [("found", sentence) for sentence in summary(decoded)]
    rows += [("note", note) for note in decoded.notes]
    rows += [(name, path) for name, path in (("written", args.out), ("page", args.report)) if path is not None]
    print_table(f"{args.recording.name}: words", rows, decoded.warning)


def _line(decoded: "DecodedWord") -> str:
    candidates = zip(decoded.candidates, decoded.scores, strict=True)
    listed = ", ".join(f"{candidate} ({score:.2f})" for candidate, score in candidates)
    return f"{decoded.word.text or '?'}: {listed or decoded.note}"
