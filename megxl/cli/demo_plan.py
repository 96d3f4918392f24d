"""The steps of `megxl demo`: nothing but commands, which anyone can give, and what each has to wait for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SNRS = (4.0, 0.5, 0.0)
"""Signal to noise of the simulated listeners; the first one is that of the main result."""
SENSORS, SFREQ_HZ, WORDS_PER_MINUTE = 16, 250, 100
WORD_SESSIONS = 8
"""Recordings of each listener for words; those that come after them, of the main one, are for what needs no words."""
CORPORA, REPORT = "corpora", "report.html"
CODEC, MODEL, DECODERS, STORES, VECTORS = "codec", "pretrained", "decoders", "stores", "vectors"
OWN_FEATURES, OWN_PAGE = "your_recording.npz", "your_recording.html"
ENTRIES = (CORPORA, STORES, CODEC, MODEL, DECODERS, VECTORS, REPORT, OWN_FEATURES, OWN_PAGE)
"""All that steps and page put into the folder of a demo."""
SHOWN = "simulated/sub-01_ses-01_task-story"
"""Key of a recording that neither tokenizer nor pre-training saw."""

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is simulated and trained.

    Parameters
    ----------
    minutes : float
        Length of a recording.
    sessions : int
        Recordings of the main listener, the ones for words among them; the last one validates.
    codec_steps, model_steps : int
        Of the tokenizer and of pre-training.
    epochs : int
        Of each decoder.
    """

    minutes: float
    sessions: int
    codec_steps: int
    model_steps: int
    epochs: int


FULL = Size(minutes=10, sessions=16, codec_steps=300, model_steps=300, epochs=4)
QUICK = Size(minutes=4, sessions=10, codec_steps=20, model_steps=20, epochs=2)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One piece of the demo.

    Parameters
    ----------
    name : str
        Of its log and its record.
    title : str
        For people.
    commands : tuple of tuple of str
        What to give to `megxl`, one after the other.
    needs : tuple of str
        Names of the steps that must be done before.
    alone : bool
        Whether it takes all processors.
    """

    name: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    alone: bool = False


def snr_name(snr: float) -> str:
    """Name of what belongs to a signal-to-noise ratio."""
    return f"snr-{snr:g}"


def listener_name(snr: float) -> str:
    """Name of the step that makes the recordings."""
    return f"listener-{snr_name(snr)}"


def store_of(folder: Path, snr: float) -> Path:
    """Prepared recordings of a listener."""
    return folder / STORES / snr_name(snr)


def decoders(folder: Path) -> dict[str, Path]:
    """Runs of the decoders by name; ``fine-tuned`` is the one at the main signal-to-noise ratio."""
    names = ["fine-tuned", "from-scratch", "noise", *map(snr_name, SNRS[1:])]
    return {name: folder / DECODERS / name for name in names}


def plan(folder: Path, size: Size, recording: Path | None = None) -> list[Step]:
    """List all steps, each after those that it needs.

    Parameters
    ----------
    folder : Path
        Of the demo.
    size : Size
    recording : Path, optional
        A person's own, to be embedded with the demo's model.
    """
    steps = [_listener(folder, size, snr) for snr in SNRS]
    steps += [_codec(folder, size), _model(folder, size), *_decoders(folder, size)]
    if recording is not None:
        steps.append(_own(folder, recording))
    return steps


def _listener(folder: Path, size: Size, snr: float) -> Step:
    """A person who hears the story."""
    corpus = str(folder / CORPORA / snr_name(snr))
    sessions = size.sessions if snr == SNRS[0] else WORD_SESSIONS
    simulate = (
        "simulate", corpus, "--corpus", "recipe", "--system", f"neuromag{SENSORS}", "--sfreq", str(SFREQ_HZ),
        "--minutes", f"{size.minutes:g}", "--sessions", str(sessions), "--snr", f"{snr:g}", "--vectors", "wordllama",
        "--words-per-minute", str(WORDS_PER_MINUTE), "--durations", "random", "--overwrite",
    )  # fmt: skip
    prepare = ("prepare", "simulated", corpus, "--store", str(store_of(folder, snr)), "--workers", "1")
    return Step(
        name=listener_name(snr),
        title=f"a listener is simulated and prepared, signal to noise {snr:g}",
        commands=(simulate, prepare),
    )


def _codec(folder: Path, size: Size) -> Step:
    overrides = (*_silent(folder, size), f"training.max_steps={size.codec_steps}", _place("run", folder / CODEC))
    return Step(
        name="codec",
        title="a tokenizer learns to turn signals into codes",
        commands=(("tokenizer", "--config-name", "demo/small_tokenizer", *overrides, "resume=auto"),),
        needs=(listener_name(SNRS[0]),),
        alone=True,
    )


def _model(folder: Path, size: Size) -> Step:
    overrides = (*_silent(folder, size), f"training.max_steps={size.model_steps}", _place("run", folder / MODEL))
    tokenizer = _place("model.tokenizer_ckpt", folder / CODEC / "model")
    return Step(
        name="pretrained",
        title="a model learns to fill in hidden codes",
        commands=(("pretrain", "--config-name", "demo/tiny_model", tokenizer, *overrides, "resume=auto"),),
        needs=("codec",),
        alone=True,
    )


def _silent(folder: Path, size: Size) -> tuple[str, ...]:
    """The recordings whose words are not looked at."""
    names = [f"ses-{number:02d}" for number in range(WORD_SESSIONS + 1, size.sessions + 1)]
    return (
        _place("data.cache_dir", store_of(folder, SNRS[0])),
        f"datasets_config.simulated.sessions=[{','.join(names)}]",
        f"datasets_config.simulated.val_session=[{names[-1]}]",
    )


def _decoders(folder: Path, size: Size) -> Sequence[Step]:
    """Of the pre-trained model, of its twin with random weights, and of noise."""
    runs, start = decoders(folder), _place("model.criss_cross_checkpoint", folder / MODEL / "model")
    vectors = _place("t5.cache_dir", folder / VECTORS)

    def step(name: str, title: str, snr: float, *overrides: str) -> Step:
        given = (start, vectors, _place("data.cache_dir", store_of(folder, snr)), f"training.num_epochs={size.epochs}")
        run = _place("run", runs[name])
        command = ("finetune", "--config-name", "demo/words", *given, *overrides, run, "resume=auto")
        return Step(name=name, title=title, commands=(command,), needs=("pretrained", listener_name(snr)))

    main = SNRS[0]
    return [
        step("fine-tuned", "the pre-trained model learns to decode words", main),
        step("noise", "the pre-trained model learns from noise: a control", main, "control=noise"),
        step("from-scratch", "its twin learns the same from scratch", main, "model.train_from_scratch=true"),
        *(step(snr_name(snr), f"the pre-trained model at signal to noise {snr:g}", snr) for snr in SNRS[1:]),
    ]


def _place(key: str, path: Path) -> str:
    """Set a key to a path, in quotes where its name would be read as something else."""
    text = str(path)
    if _PLAIN.fullmatch(text):
        return f"{key}={text}"
    quoted = text.replace("'", "\\'")
    return f"{key}='{quoted}'"


def _own(folder: Path, recording: Path) -> Step:
    out, page = folder / OWN_FEATURES, folder / OWN_PAGE
    command = ("embed", str(recording), "--model", str(folder / MODEL / "model"), "--out", str(out))
    return Step(
        name="your_recording",
        title=f"{recording.name} is embedded",
        commands=((*command, "--report", str(page), "--overwrite"),),
        needs=("pretrained",),
    )
