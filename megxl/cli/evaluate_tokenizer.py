"""`megxl evaluate` of tokenizers: runs and checkpoints, all on the same windows."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.training.tokenizer.judged_sources import Source
    from megxl.training.tokenizer.judged_windows import JudgedWindows


def are_tokenizers(args: argparse.Namespace) -> bool:
    """Whether what was named first is a run or a checkpoint of a tokenizer."""
    from megxl.checkpoints.folder import is_ours
    from megxl.training.runs import Run
    from megxl.training.tokenizer.config import TokenizerConfig

    path = Path(args.run[0]).expanduser()
    if Run.exists(path):
        return isinstance(Run.open(path).config, TokenizerConfig)
    # what is not there may be a name on the hub; without a store it is rather a run that was mistyped
    return path.is_file() or is_ours(path) or (args.store is not None and not path.exists())


def evaluate_tokenizers(args: argparse.Namespace) -> int:
    """Judge, print, and write what was asked for, and judged.json of the run whose held-out recordings were taken."""
    from megxl.cli.judged_tables import print_judged
    from megxl.cli.loading import choose_device
    from megxl.cli.window_progress import window_progress
    from megxl.data.preparing.summary import counted
    from megxl.placing import free_to_write
    from megxl.training.runs import write_json
    from megxl.training.tokenizer.judged_sources import JUDGED, open_source, source_names
    from megxl.training.tokenizer.judging import judge

    if args.json is not None:
        free_to_write(args.json, overwrite=args.overwrite)
    names, device = source_names(args.run), choose_device(args.device)
    sources = [open_source(place) for place in args.run]
    windows = _windows(sources, args)
    tokenizers = {name: source.codec.to(device) for name, source in zip(names, sources, strict=True)}
    with window_progress("judging", "windows, of all tokenizers") as advance:
        judged = judge(tokenizers, windows, seed=args.seed or 0, advance=advance)
    facts = judged.windows
    rows = f"{counted(facts.rows, 'row')} of {counted(facts.number, 'window')} of {facts.window_s:g} s"
    print(f"{rows} at {facts.sfreq_hz:g} Hz, {counted(len(facts.recordings), 'recording')}")
    print_judged(judged)
    written = [] if args.json is None else [args.json]
    owner = next((source.run for source in sources if source.run is not None), None)
    if owner is not None and args.store is None and args.split == "validation":
        # numbers on other recordings would be taken for held-out ones
        written.append(owner.path / JUDGED)
    for path in written:
        write_json(path, judged.to_dict())
        print(f"written: {path}")
    return 0


def _windows(sources: Sequence["Source"], args: argparse.Namespace) -> "JudgedWindows":
    """Windows of the store that was named, or of the recordings of the first run; scaled as the first run does."""
    from megxl.errors import InputError
    from megxl.training.tokenizer.judged_sources import run_windows, scaling, stored
    from megxl.training.tokenizer.judged_windows import SENSORS, WINDOWS, JudgedWindows

    run = next((source.run for source in sources if source.run is not None), None)
    choice: dict[str, Any] = {
        "number": WINDOWS if args.windows is None else args.windows,
        "sensors": SENSORS if args.sensors is None else args.sensors,
        "seed": args.seed or 0,
    } | ({} if args.window_s is None else {"window_s": args.window_s})
    if args.store is not None:
        recordings = stored(
            args.store, corpus=args.corpus, keys=args.recordings, split=args.split_file, part=args.split
        )
        return JudgedWindows(recordings, **({} if run is None else scaling(run)) | choice)
    for name in ("corpus", "recordings", "split_file"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} chooses from a store; name it, too: --store FOLDER.")
    if run is None:
        raise InputError(
            "A checkpoint has no recordings to be judged on: name a store (--store FOLDER, with --corpus, --recordings "
            "or --split-file to choose from it), or a run of `megxl tokenizer` beside it."
        )
    return run_windows(run, args.split, **choice)
