"""`megxl evaluate`: how well a run or a tokenizer does; here, what a model predicts and where it attends."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.training.run_windows import RunWindows
    from megxl.training.runs import Run

_DESCRIPTION = """\
Of a run of `megxl finetune` or `megxl probe`: compute all metrics of its words anew from its saved predictions, without
model or GPU, with intervals of 95 %, chance, the baseline of frequent words and a permutation test. Written to RUN:
results.json.

--beside: the differences to other runs that were tested on the same words.

Of a run of `megxl pretrain`: let the model predict hidden codes of the recordings that it never trained on, with the
masks of its own validation: loss and accuracy by corpus and level, beside what guessers score, with intervals of 95 %
over recordings.

--context-s: the same hidden tokens, predicted from less: the windows are cut into tiles of so many seconds, each of
which the model is given by itself. A context longer than the windows of the training makes the windows longer.
Written to RUN: context.csv, context.json, context.png.

--attention: how far in time and over the head each attention head looks, and how evenly. Written to RUN:
attention.csv, attention.png.

Of tokenizers, runs of `megxl tokenizer` or checkpoints (files, folders, hub names), one or more: how well each gives
back the same windows, those that validate the first run or those of --store: correlation, SI-SDR, variance explained,
error by band, use of the codes, r by number of levels, what noise and gain change, beside shuffled codes and random
weights, with intervals of 95 % over recordings. Written to the first run: judged.json."""

_EXAMPLES = """\
examples:
  megxl evaluate logs/words                                              all metrics of the words
  megxl evaluate logs/words --sizes 50,250 --k 5 --resamples 10000       other metrics, finer intervals
  megxl evaluate logs/words --beside logs/scratch logs/noise             the differences to other runs
  megxl evaluate checkpoints/small                                       validation, by corpus and level
  megxl evaluate checkpoints/small --context-s 5,30,100,150              what context is worth
  megxl evaluate checkpoints/small --context-s 5,150,600 --windows 50    beyond the training's windows, on 50 of them
  megxl evaluate checkpoints/small --attention --windows 20
  megxl evaluate checkpoints/small --model meg-xl-med.ckpt --json other.json    another model on the same windows
  megxl evaluate runs/codec biocodec_ckpt.pt                             tokenizers on what the run never trained on
  megxl evaluate biocodec_ckpt.pt runs/codec/model --store prepared --corpus camcan --windows 32 --sensors 306
"""

_OPTIONS = {
    "finetune or probe": ("sizes", "k", "resamples", "permutations", "beside"),
    "pretrain": ("context_s", "attention", "windows", "model"),
    "tokenizer": ("windows", "sensors", "window_s", "store", "corpus", "recordings", "split_file", "seed"),
}
"""Those that not all kinds of runs have, by the commands that make them."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl evaluate` to the commands."""
    parser = subparsers.add_parser(
        "evaluate", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", metavar="RUN", nargs="+",
                        help="the directory of a run; of tokenizers several, or checkpoints")  # fmt: skip
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures there, too")
    parser.add_argument("--overwrite", action="store_true", help="replace an older FILE")
    words = parser.add_argument_group("runs of finetune and probe")
    words.add_argument("--sizes", metavar="N,N,...", help="sets of so many most frequent words to choose from")
    words.add_argument("--k", metavar="K", type=int, help="a word counts as found among so many best")
    words.add_argument("--resamples", metavar="N", type=int, help="of the bootstrap")
    words.add_argument("--permutations", metavar="N", type=int, help="of the permutation test; 0: none")
    words.add_argument("--beside", metavar="RUN", type=Path, nargs="+", help="compare with these runs")
    pretraining = parser.add_argument_group("runs of pretrain")
    pretraining.add_argument("--context-s", metavar="S,S,...", help="seconds of context, one or more: 5,30,100,150")
    pretraining.add_argument("--attention", action="store_true", help="measure where each head looks")
    pretraining.add_argument("--model", metavar="M", help="a checkpoint in place of the run's newest: a file, a folder "
                             "or a hub name")  # fmt: skip
    signals = parser.add_argument_group("runs of pretrain, and tokenizers")
    signals.add_argument("--windows", metavar="N", type=int,
                         help="at most N windows, spread evenly over the recordings (default: all; of tokenizers "
                         "8)")  # fmt: skip
    signals.add_argument("--split", choices=("validation", "train"), default="validation",
                         help="whose windows (default: validation)")  # fmt: skip
    signals.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default)")
    tokenizers = parser.add_argument_group("tokenizers")
    tokenizers.add_argument("--sensors", metavar="N", type=int, help="at most N sensors of each window (default: 16)")
    tokenizers.add_argument("--window-s", metavar="S", type=float, help="length of a window (default: the run's, 150)")
    tokenizers.add_argument("--seed", metavar="N", type=int, help="of sensors, noise, shuffles and intervals")
    tokenizers.add_argument("--store", metavar="FOLDER", help="prepared recordings in place of the first run's")
    tokenizers.add_argument("--corpus", metavar="NAME", help="of the store: the recordings of one corpus")
    tokenizers.add_argument("--recordings", metavar="KEY", nargs="+", help="of the store: these recordings")
    tokenizers.add_argument("--split-file", metavar="FILE", help="of the store: those that a split names for --split")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, and write what was asked for."""
    from megxl.cli.evaluate_tokenizer import are_tokenizers, evaluate_tokenizers
    from megxl.errors import InputError
    from megxl.training.runs import Run
    from megxl.training.words.config import WordsConfig

    if are_tokenizers(args):
        _refuse_options_of_others(args, "tokenizer")
        return evaluate_tokenizers(args)
    trained = Run.open(args.run[0])
    if len(args.run) > 1:
        raise InputError(f"{args.run[0]} is a run of `{trained.config.made_by}`; of those name one at a time.")
    words = isinstance(trained.config, WordsConfig)
    _refuse_options_of_others(args, "finetune or probe" if words else "pretrain")
    if words:
        from megxl.cli.evaluate_words import evaluate_words

        return evaluate_words(trained, args)
    return _evaluate_pretraining(trained, args)


def _evaluate_pretraining(trained: "Run", args: argparse.Namespace) -> int:
    from megxl.cli.loading import choose_device
    from megxl.placing import free_to_write
    from megxl.training.run_windows import RunWindows, open_model
    from megxl.training.runs import write_json

    contexts_s = _seconds(args.context_s)
    if args.json is not None:
        free_to_write(args.json, overwrite=args.overwrite)
    model = open_model(trained, args.model, choose_device(args.device))
    windows = RunWindows(
        trained,
        model,
        args.split,
        window_s=max([trained.config.data.segment_length, *contexts_s]),
        number=args.windows,
        cached=args.model is None,
    )
    told: dict[str, Any] = {
        "run": trained.name,
        "model": model.provenance,
        "split": args.split,
        "window_s": windows.window_s,
        "trained_window_s": trained.config.data.segment_length,
        "windows": len(windows),
    }
    if contexts_s or not args.attention:
        told |= _by_context(trained, windows, contexts_s, told)
    if args.attention:
        told |= _attention(trained, windows)
    if args.json is not None:
        write_json(args.json, told)
        print(f"written: {args.json}")
    return 0


def _refuse_options_of_others(args: argparse.Namespace, kind: str) -> None:
    from megxl.errors import InputError

    for name in dict.fromkeys(name for names in _OPTIONS.values() for name in names):
        if name not in _OPTIONS[kind] and getattr(args, name) not in (None, False):
            own = " or ".join(other for other, names in _OPTIONS.items() if name in names)
            raise InputError(f"--{name.replace('_', '-')} is for runs of {own}, and {args.run[0]} is one of {kind}.")


def _by_context(
    trained: "Run", windows: "RunWindows", contexts_s: Sequence[float], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Score, print, and where contexts were asked for write the files of it."""
    from megxl.cli.evaluate_tables import print_scores
    from megxl.cli.window_progress import window_progress
    from megxl.training.evaluation import context_notes, context_rows, score_contexts, write_rows
    from megxl.training.runs import write_json

    with window_progress("predicting") as advance:
        scores = score_contexts(windows, contexts_s or None, advance)
    guessers = trained.baselines() if facts["split"] == "validation" else None
    rows, notes = context_rows(scores, guessers), context_notes(windows, scores)
    if guessers is not None and (scores.left_out or facts["window_s"] != facts["trained_window_s"]):
        notes.append(f"The guessers were scored at all hidden tokens of windows of {facts['trained_window_s']:g} s.")
    print(f"{trained.name}: {len(windows)} windows of {windows.window_s:g} s, {facts['split']}")
    print_scores(rows)
    for note in notes:
        print(f"note: {note}")
    told = {"rows": rows, "left_out": scores.left_out, "notes": notes, "guessers": guessers}
    if contexts_s:
        from megxl.reporting.context_figures import plot_context

        write_rows(trained.path / "context.csv", rows)
        write_json(trained.path / "context.json", {**facts, **told})
        _draw(trained, windows, "context.png", lambda line, warning: plot_context(rows, line, warning))
        print(f"written: {trained.path}/context.csv, context.json, context.png")
    return told


def _attention(trained: "Run", windows: "RunWindows") -> dict[str, Any]:
    """Measure, print means by layer, write the files of it."""
    from megxl.cli.evaluate_tables import print_attention
    from megxl.cli.window_progress import window_progress
    from megxl.reporting.context_figures import plot_attention
    from megxl.training.evaluation import attention_rows, write_rows

    with window_progress("attending") as advance:
        rows = attention_rows(windows, advance)
    write_rows(trained.path / "attention.csv", rows)
    _draw(trained, windows, "attention.png", lambda line, warning: plot_attention(rows, line, warning))
    for note in windows.notes:
        print(f"note: {note}")
    print(f"attention, mean over the heads of a layer, {len(windows)} windows of {windows.window_s:g} s")
    print_attention(rows)
    print(f"written: {trained.path}/attention.csv, attention.png")
    return {"attention": rows}


def _draw(trained: "Run", windows: "RunWindows", name: str, plot: Callable[[str, str | None], Any]) -> None:
    from megxl.placing import placed
    from megxl.reporting.training_tables import training_warning, weights_of

    model = windows.model
    line = f"{trained.name}: {weights_of(model)}, {len(windows)} windows of {windows.window_s:g} s"
    figure = plot(line, training_warning(model))
    with placed(trained.path / name, folder=False) as part:
        figure.savefig(part, format="png", dpi=150)


def _seconds(text: str | None) -> list[float]:
    """Seconds of context out of 5,30,100."""
    from megxl.errors import InputError

    try:
        return [] if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--context-s {text}: give seconds with commas between them, as in 5,30,100,150.") from error
