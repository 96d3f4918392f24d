"""`megxl demo`: the whole journey from a brain's signal to decoded words, on a listener made up on the spot."""

import argparse
import json
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from megxl.cli.demo_plan import Size
    from megxl.reporting.journey.journey import Journey

_DESCRIPTION = """\
Simulate a person who hears a story, train a tokenizer on the signals, pre-train a model on its codes, and fine-tune
that to name the words that are heard; beside it a twin from scratch, a control that gets noise, and listeners with
weaker answers and with none. It takes some minutes on two processors, downloads nothing, and ends with one page that
tells it in pictures. EVERYTHING IS SIMULATED: it shows what the system does, and says nothing about real brains.

Ctrl-C stops it; the same command goes on where it stopped. A demo that is finished only draws its page again."""

_EXAMPLES = """\
examples:
  megxl demo                                   into the folder demo; open demo/report.html
  megxl demo --recording sub-01_meg.fif        with your own recording, embedded by the demo's small model
  megxl demo --out /tmp/look --quick           in a minute or two, to see that it works; nothing is learnt
"""

_NEXT = """\
next:
  open {report}
{activate}  megxl report {tuned}               the whole page of one of its runs; each is an ordinary one
  megxl info RECORDING               what a recording of yours is, and what megxl would do with it
  megxl embed RECORDING --model meg-xl-med.ckpt --out features.npz --report features.html    with released weights"""

PLAN, STEPS = "demo.json", "steps"


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `megxl demo` to the commands."""
    parser = subparsers.add_parser(
        "demo", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recording", metavar="FILE", type=Path, help="embed your own recording, too")
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("demo"), help="where all goes (default: demo)"
    )
    parser.add_argument("--quick", action="store_true", help="hardly any training: to see that it works")
    parser.add_argument("--processors", metavar="N", type=int, help="use so many (default: all)")
    parser.add_argument("--overwrite", action="store_true", help="delete the demo that is there, and begin anew")


def run(args: argparse.Namespace) -> int:
    """Do all steps that are not done yet, draw the page, and say what to do next."""
    from megxl.cli.demo_plan import FULL, QUICK
    from megxl.errors import InputError

    _refuse_lacking()
    processors = _processors() if args.processors is None else args.processors
    if processors < 1:
        raise InputError(f"--processors {processors}: at least 1 is needed.")
    recording = None if args.recording is None else _looked_at(args.recording)
    there = None if args.overwrite else _described_in(args.out)
    size = QUICK if args.quick or there == _described(QUICK) else FULL
    _enter(args.out, size, overwrite=args.overwrite)
    _work(args.out, size, recording, processors)
    _say(args.out, size, recording)
    return 0


def _looked_at(recording: Path) -> Path:
    """Refuse a recording that cannot be embedded now rather than after minutes."""
    from megxl.errors import InputError
    from megxl.signals.montage import place_sensors
    from megxl.signals.preparation import Preparation
    from megxl.signals.reading import choose_channels, open_recording

    raw = open_recording(recording)
    place_sensors(raw.info, choose_channels(raw))
    rate_hz, needed_hz = raw.info["sfreq"], Preparation().sfreq_hz
    if rate_hz < needed_hz:
        raise InputError(f"{recording.name} has {rate_hz:g} samples a second; at least {needed_hz:g} are needed.")
    return recording.absolute()


def _refuse_lacking() -> None:
    from megxl.errors import InputError

    lacking = [name for name in ("lightning", "hydra", "transformers", "wordllama") if find_spec(name) is None]
    if lacking:
        raise InputError(
            f"The demo trains models and needs {', '.join(lacking)}: pip install 'megxl[train,decode]', or `make demo` "
            "in a clone of the repository."
        )


def _processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _enter(folder: Path, size: "Size", *, overwrite: bool) -> None:
    """Make the folder, or see that it holds the same demo and nothing else."""
    from megxl.cli.demo_plan import CORPORA, ENTRIES
    from megxl.errors import InputError
    from megxl.training.runs import write_json

    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: the demo needs a folder (--out).")
    entries = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    there = _described_in(folder)
    others = [name for name in entries if name not in (PLAN, STEPS, *ENTRIES) and not name.startswith(".")]
    if others or (entries and there is None):
        raise InputError(
            f"{folder} is a folder with something else in it ({(others or entries)[0]}); choose another one (--out)."
        )
    if there is not None and overwrite:
        for name in (*ENTRIES, STEPS, PLAN):  # what says whose folder it is goes last
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    elif there not in (None, _described(size)):
        raise InputError(
            f"{folder} holds a demo of another size or version; choose another folder (--out), or delete it and begin "
            "anew with --overwrite."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / PLAN, _described(size))
    (folder / CORPORA).mkdir(exist_ok=True)


def _described_in(folder: Path) -> Any:
    """What the demo in a folder says of itself; None: there is none."""
    try:
        said = json.loads((folder / PLAN).read_text())
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) and "megxl" in said else None


def _described(size: "Size") -> dict[str, Any]:
    from dataclasses import asdict

    from megxl import __version__

    return {"megxl": __version__, **asdict(size)}


def _work(folder: Path, size: "Size", recording: Path | None, processors: int) -> None:
    from megxl.cli.demo_crew import carry_out, is_done
    from megxl.cli.demo_plan import plan
    from megxl.cli.demo_shown import shown_steps

    steps = plan(folder.absolute(), size, recording)
    done = sum(is_done(step, folder / STEPS) for step in steps)
    with shown_steps(len(steps), done) as shown:
        carry_out(steps, folder / STEPS, shown, processors)


def _say(folder: Path, size: "Size", recording: Path | None) -> None:
    """Draw the page, and print what it comes to."""
    from megxl.cli.demo_plan import SNRS, decoders, snr_name
    from megxl.cli.tables import print_table
    from megxl.reporting.journey.page import write_journey
    from megxl.reporting.journey.verdicts import judge, percent

    page = write_journey(_journey(folder, size, recording))
    runs = decoders(folder)
    titles = {
        "fine-tuned": f"fine-tuned, signal to noise {SNRS[0]:g}",
        "from-scratch": "the same from scratch",
        "noise": "the same from noise",
        **{snr_name(snr): f"fine-tuned, signal to noise {snr:g}" for snr in SNRS[1:]},
    }
    judged = {name: judge(path) for name, path in runs.items()}
    metric = judged["fine-tuned"].scored.metric
    print_table(
        f"{folder}: a listener's words, decoded",
        [
            ("measured", f"{metric.name}, chance {percent(judged['fine-tuned'].scored.chance)}"),
            *((title, judged[name].told) for name, title in titles.items()),
            ("page", page),
        ],
        "All of this is simulated; no number here is about real brains.",
    )
    print(_NEXT.format(report=page, tuned=runs["fine-tuned"], activate=_activate()))


def _activate() -> str:
    """How the commands that follow are found, where the shell does not find them yet."""
    script = Path(sys.prefix) / "bin" / "activate"
    if shutil.which("megxl") is not None or not script.is_file():
        return ""
    return f"  . {_short(script)}               so that this shell knows megxl\n"


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _journey(folder: Path, size: "Size", recording: Path | None) -> "Journey":
    from megxl.cli.demo_crew import record
    from megxl.cli.demo_plan import OWN_PAGE, SHOWN, SNRS, decoders, plan, snr_name, store_of
    from megxl.reporting.journey.journey import Journey

    runs = decoders(folder)
    steps = plan(folder.absolute(), size, recording)
    kept = {step.title: record(step.name, folder / STEPS) for step in steps}
    peaks = [one.peak_bytes for one in kept.values() if one is not None and one.peak_bytes is not None]
    return Journey(
        folder=folder,
        store=store_of(folder, SNRS[0]),
        shown=SHOWN,
        corpus_facts=_facts(size),
        codec=folder / "codec",
        pretrained=folder / "pretrained",
        fine_tuned=runs["fine-tuned"],
        scratch=runs["from-scratch"],
        noise=runs["noise"],
        main_snr=SNRS[0],
        by_snr={SNRS[0]: runs["fine-tuned"], **{snr: runs[snr_name(snr)] for snr in SNRS[1:]}},
        seconds={title: one.seconds for title, one in kept.items() if one is not None},
        peak_bytes=max(peaks, default=None),
        own=None if recording is None else folder / OWN_PAGE,
    )


def _facts(size: "Size") -> dict[str, Any]:
    """What was simulated, for the page."""
    from megxl.cli.demo_plan import SENSORS, SNRS, WORD_SESSIONS, WORDS_PER_MINUTE

    return {
        "listener": "one person who never was, with a brain of dipoles whose answers depend on the meaning of a word",
        "sensors": f"{SENSORS} of the 102 magnetometers of a Neuromag system, in their real places",
        "story": f"written for this project, told at {WORDS_PER_MINUTE} words a minute",
        "meaning of a word": "its vector in wordllama, a model of real language",
        "recordings": f"{size.sessions} of {size.minutes:g} minutes; {WORD_SESSIONS} of them for words, the others for "
        "the tokenizer and the model, which look at no word",
        "signal to noise": f"{SNRS[0]:g}; other listeners have {' and '.join(f'{snr:g}' for snr in SNRS[1:])}",
        "background": "1/f noise of the brain, alpha rhythm, drifts from outside, white noise of the sensors",
    }
