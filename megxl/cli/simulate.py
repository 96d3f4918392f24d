"""`megxl simulate`: recordings with known ground truth, in the on-disk formats of real corpora."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_DESCRIPTION = """\
Make recordings of people who were never measured: brains that hear a story (written for this project) on real sensor
geometry, with 1/f background, alpha rhythm, drifts and sensor noise at realistic levels. After each word comes a
response that is a linear function of the word's meaning vector, at a chosen ratio of signal to noise. All that decides
the signal is written beside it (ground_truth/): what can be found in the data is known."""

_EXAMPLES = """\
corpora:
  libribrain  HDF5, 250 Hz, 0.1 Hz high-pass, words in events.tsv; sessions of Sherlock1 (another story is told)
  smn4lang    FIF, 1000 Hz, times of words in MATLAB files; sessions are its runs
  armeni      CTF folders with sensors, rate and header of a real one (--template), words in events.tsv
  meg_masc    KIT files with those of a real one (--template), words in events.tsv; --sessions counts the recordings of
              a listener: task 0 of both sessions, task 1 of both, ... (8 at most)
  bids        FIF (MEG) or EDF (EEG), 500 Hz, words in events.tsv (columns trial_type, word, sentence, chapter)
  recipe      a few lines of JSON a recording; the corpus `simulated` makes the samples when they are read

examples:
  megxl simulate here --corpus libribrain --minutes 10 --sessions 3
  megxl simulate runs --corpus smn4lang --minutes 5 --subjects 2 --runs 4 --snr 0.2 --seed 7
  megxl simulate arm --corpus armeni --template sub-001_ses-001_task-compr_meg.ds --minutes 8 --sessions 3
  megxl simulate eeg --corpus bids --minutes 10 --system biosemi64
  megxl simulate big --corpus recipe --minutes 60 --sessions 50          50 hours that take no space

Who listens for longer than the story lasts (15 minutes at 160 words a minute) hears its paragraphs again, each time in
another order; each session goes on where the one before has ended.
"""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl simulate` to the commands."""
    parser = subparsers.add_parser(
        "simulate", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the new corpus")
    parser.add_argument("--corpus", metavar="C", required=True,
                        help="libribrain, smn4lang, armeni, meg_masc, bids or recipe")  # fmt: skip
    parser.add_argument("--template", metavar="PATH", type=Path,
                        help="for armeni: a real CTF recording (*.ds), for meg_masc: a KIT one (*.con, *.sqd); its "
                        "sensors, rate and header are taken, not its signal and what it says of a person")  # fmt: skip
    parser.add_argument(
        "--minutes", metavar="N", type=float, default=10.0, help="length of each recording (default: 10)"
    )
    parser.add_argument("--subjects", metavar="K", type=int, default=1, help="how many listeners (default: 1)")
    parser.add_argument("--sessions", "--runs", metavar="N", type=int, default=1, dest="sessions",
                        help="recordings of each listener (default: 1)")  # fmt: skip
    parser.add_argument("--snr", metavar="X", type=float, default=0.02,
                        help="power of responses by that of all else, 0.5 to 20 Hz, median sensor; 0: no responses "
                        "(default: 0.02)")  # fmt: skip
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="decides everything random (default: 0)")
    parser.add_argument("--words-per-minute", metavar="N", type=float, default=160.0,
                        help="mean over the story with its pauses (default: 160)")  # fmt: skip
    parser.add_argument("--durations", choices=("letters", "random"), default="letters",
                        help="random: how long a word lasts says nothing of it (default: its letters decide)"
                        )  # fmt: skip
    parser.add_argument("--system", metavar="NAME",
                        help="sensors: neuromag306 (default); bids and recipe: or neuromag24 (so many of its "
                        "magnetometers), or a montage of MNE")  # fmt: skip
    parser.add_argument("--sfreq", metavar="HZ", type=float, help="samples a second, for bids and recipe")
    parser.add_argument("--vectors", metavar="V",
                        help="meaning vectors: a file FILE.npz (arrays word_W, vector_WD), or an encoder of words as "
                        "in t5.model_name (wordllama needs no download) (default: made from the letters)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an older simulation of the same name")


def run(args: argparse.Namespace) -> int:
    """Simulate, and say what was written."""
    from megxl.cli.tables import print_table
    from megxl.corpora.simulation.writing import recipe_for, write_corpus

    options = {"minutes": args.minutes, "snr": args.snr, "seed": args.seed, "system": args.system}
    options |= {"words_per_minute": args.words_per_minute, "sfreq_hz": args.sfreq, "durations": args.durations}
    given = {name: value for name, value in options.items() if value is not None}
    recipe = recipe_for(args.corpus, template=args.template, **given)
    with _shown() as advance:
        written = write_corpus(
            args.out,
            args.corpus,
            recipe,
            template=args.template,
            subjects=args.subjects,
            sessions=args.sessions,
            meanings=_meanings(args.vectors),
            overwrite=args.overwrite,
            advance=advance,
        )
    print_table(
        f"{args.out.name}: simulated",
        [
            ("recordings", f"{len(written.recordings)} ({written.hours:.2f} h, {written.sensors} sensors)"),
            ("words", f"{written.words:,} heard"),
            ("signal to noise", f"{args.snr:g} (power, 0.5 to 20 Hz, median sensor)"),
            ("size", f"{written.bytes / 1e6:,.1f} MB"),
            ("first", written.recordings[0]),
            ("ground truth", args.out / "ground_truth"),
        ],
    )
    return 0


def _meanings(vectors: str | None) -> "dict[str, np.ndarray] | None":
    """Vector of each word of the story, out of a file or an encoder."""
    from megxl.corpora.simulation.story import vocabulary
    from megxl.corpora.simulation.truth import read_meanings

    if vectors is None:
        return None
    if vectors.endswith(".npz"):
        return read_meanings(Path(vectors))
    from megxl.decoding.targets import open_encoder

    words = sorted(vocabulary())
    return dict(zip(words, open_encoder(vectors).encode(words).numpy(), strict=True))


@contextmanager
def _shown() -> Iterator[Callable[[int, int], None]]:
    """Give something to call with the number of recordings that are done, and of all."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda done, total: print(f"simulating: {done} of {total} recordings", file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("recordings"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task("simulating", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
