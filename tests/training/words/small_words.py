"""A small prepared store of told words whose signal carries them, and the settings of a decoding of seconds on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from megxl.corpora.corpus import Word
from megxl.model.megxl import MEGXL
from megxl.signals.sensors import SensorArray
from megxl.sizes import MEGXLConfig
from megxl.store.entry import RecordingFacts
from megxl.store.store import Store
from tests.data.small import sensors
from tests.store.made import prepared
from tests.training.small_run import CODEC, small_codec

SFREQ_HZ = 50.0
EVERY_S = 0.4
_FREQUENT = (
    "the and of to in he was it that his you with for had him at as on but not from her be have she my said is "
    "they which one door house river stone light winter letter garden"
)
LEXICON = tuple(_FREQUENT.split())
"""Words from frequent to rare, all of them in any encoder's vocabulary."""


def make_word_store(
    folder: Path,
    *,
    subjects: int = 2,
    sessions: int = 3,
    words: int = 120,
    n_sensors: int = 8,
    strength: float = 3.0,
    corpus: str = "armeni",
    stories: bool = True,
    seed: int = 0,
) -> Path:
    """Store recordings in which people hear words; each session tells a text of its own, the same to all subjects.

    Parameters
    ----------
    folder : Path
        The store becomes ``folder / "store"``.
    subjects, sessions : int
        Recordings are ``CORPUS/sub-S_ses-N``.
    words : int
        Of a recording, one every 0.4 s, the first at 1 s; durations are drawn apart from them.
    n_sensors : int
        At most 16, all of them in every recording.
    strength : float
        Size of a word's pattern over sensors, 0.25 s after its onset, against noise of 1; 0: none.
    stories : bool
        Whether each word names its session as its story.
    seed : int
        Of texts, patterns and noise.

    Returns
    -------
    Path
        The store.
    """
    store, array = Store.create(folder / "store"), sensors(n_sensors)
    patterns = {
        word: np.random.default_rng([seed, 1, number]).standard_normal(n_sensors) for number, word in enumerate(LEXICON)
    }
    for session in range(1, sessions + 1):
        told = _text(words, seed, session, f"story-{session}" if stories else None)
        for subject in range(1, subjects + 1):
            rng = np.random.default_rng([seed, 2, session, subject])
            signal_CT = _signal(told, patterns, strength, rng)
            _put(store, corpus, f"sub-{subject}", f"ses-{session}", array, signal_CT, told)
    return store.path


def make_backbone(folder: Path, seed: int = 0) -> Path:
    """Save a model with random weights and its codec in our format; the checkpoint's folder."""
    codec = small_codec(seed)
    sizes = MEGXLConfig(
        width=16, layers=1, heads=2, fourier_width=8, masked_blocks=1,
        levels=CODEC.levels, codes=CODEC.codes, code_width=CODEC.code_width,
        samples_per_token=CODEC.samples_per_token,
    )  # fmt: skip
    torch.manual_seed(seed)
    MEGXL(sizes, codec).save_pretrained(folder / "backbone")
    return folder / "backbone"


def words_settings(store: Path, **changes: Any) -> dict[str, Any]:
    """Plain configuration (`WordsConfig.from_dict`) on `make_word_store` and `make_backbone`, in ``store.parent``.

    Parameters
    ----------
    store : Path
    **changes
        By dotted key with ``__`` for dots: ``data__words_per_segment=5``.
    """
    content: dict[str, Any] = {
        "command": "finetune",
        "data": {
            "dataset_type": "armeni",
            "cache_dir": str(store),
            "words_per_segment": 6,
            "protocol": "strict",
            "strict_by": "block",
            "block_s": 12.0,
            "split_ratios": [0.6, 0.2, 0.2],
            "train_pct": 1.0,
            "codes": "online",
        },
        "model": {"criss_cross_checkpoint": str(store.parent / "backbone"), "word_mlp": {"hidden_dim": 32}},
        "t5": {"model_name": "wordllama", "cache_dir": str(store.parent / "embeddings")},
        "training": {"batch_size": 2, "num_epochs": 2, "num_workers": 0, "pin_memory": False},
        "evaluation": {"retrieval_set_sizes": [10, 20], "k": 3},
        "device": "cpu",
        "seed": 1,
        "run": str(store.parent / "run"),
    }
    for name, value in changes.items():
        *parents, key = name.split("__")
        place: Any = content
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return content


def words_config(store: Path, **changes: Any):
    """`WordsConfig` of `words_settings`."""
    from megxl.training.words.config import WordsConfig

    return WordsConfig.from_dict(words_settings(store, **changes))


def _text(words: int, seed: int, session: int, story: str | None) -> list[Word]:
    """A text in which the rank of a word makes it rare, as in language."""
    rng = np.random.default_rng([seed, 3, session])
    chances = 1 / np.arange(1, len(LEXICON) + 1)
    texts = rng.choice(LEXICON, size=words, p=chances / chances.sum())
    durations_s = rng.uniform(0.1, 0.35, size=words)
    return [
        Word(text=str(text), onset_s=1.0 + EVERY_S * n, duration_s=round(float(duration_s), 3), story=story)
        for n, (text, duration_s) in enumerate(zip(texts, durations_s, strict=True))
    ]


def _signal(
    told: Sequence[Word], patterns: Mapping[str, np.ndarray], strength: float, rng: np.random.Generator
) -> np.ndarray:
    n_sensors = len(next(iter(patterns.values())))
    signal_CT = rng.standard_normal((n_sensors, round(SFREQ_HZ * (told[-1].onset_s + 4.0))))
    course_T = np.exp(-0.5 * ((np.arange(25) / SFREQ_HZ - 0.25) / 0.06) ** 2)
    for word in told:
        start = round(word.onset_s * SFREQ_HZ)
        signal_CT[:, start : start + 25] += strength * patterns[word.text][:, None] * course_T
    return (1e-12 * signal_CT).astype(np.float32)


def _put(
    store: Store, corpus: str, subject: str, session: str,
    array: SensorArray, signal_CT: np.ndarray, told: Sequence[Word],
) -> None:  # fmt: skip
    made = prepared(1.0, len(array), signal_CT=signal_CT, sensors=array, sfreq_hz=SFREQ_HZ)
    facts = RecordingFacts(corpus=corpus, subject=subject, session=session)
    with store.writing(f"{corpus}/{subject}_{session}") as writer:
        writer.write(made, facts=facts, words=[word.to_row() for word in told], source={"signal": {}, "words": {}})
