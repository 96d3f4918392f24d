"""A finished run of word decoding, written by hand: a store, predictions, tables of its training, results."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from megxl.data.groups import Grouping, WordGroupSet, word_groups
from megxl.decoding.building import DecoderSpec, build_decoder
from megxl.decoding.decoder_files import write_decoder
from megxl.decoding.occurrences import Occurrences
from megxl.decoding.predictions import Predictions, read_predictions, write_predictions
from megxl.decoding.saved_decoder import SavedDecoder
from megxl.model.megxl import MEGXL
from megxl.store.store import Store
from megxl.training.runs import MODEL, PREDICTIONS, RESULTS, Run, write_json
from megxl.training.tables import METRICS, VALIDATION, Table
from megxl.training.words.config import WordsConfig
from megxl.training.words.results import run_results
from tests.training.words.small_words import LEXICON, make_backbone, make_word_store, words_config

E = 12


def make_run(folder: Path, *, noise: float = 2.0, name: str = "run", **changes: Any) -> Run[WordsConfig]:
    """A run on every group of a small store; its estimates are the true vectors with noise."""
    store = folder / "store"
    if not store.is_dir():
        make_word_store(folder, words=60, n_sensors=12)
    changes = {"data__use_hashed_split": True, "data__protocol": None, "evaluation__resamples": 200,
               "evaluation__permutations": 50} | changes  # fmt: skip
    config = words_config(store, run=str(folder / name), **changes)
    run = Run.create(config, environment={"torch": torch.__version__})
    predictions = predict(store, noise)
    for part in ("validation", "test"):
        write_predictions(run.path / PREDICTIONS / part, predictions)
    about = {
        "protocol": config.data.protocol_name,
        "leaks": ["Test words choose the vocabulary."],
        "control": config.control,
        "notes": ["Written by hand."],
    }
    write_json(run.path / RESULTS, run_results({"test": predictions}, config.evaluation, about))
    write_tables(run.path)
    run.set_status("finished", step=40, epoch=4)
    return run


def add_decoder(run: Run[WordsConfig], head: str = "sensors", **spec: Any) -> Run[WordsConfig]:
    """Put a decoder with random weights into a run."""
    store = Path(run.config.data.cache_dir)
    model = MEGXL.from_pretrained(make_backbone(store.parent))
    predictions = read_predictions(run.path / PREDICTIONS / "test")
    recording = Store(store).recordings()[0]
    spec = DecoderSpec(head=head, width=model.config.width, target_width=E, hidden=16,
                       sensors=len(recording.sensors), **spec)  # fmt: skip
    saved = SavedDecoder(
        decoder=build_decoder(spec, model=model),
        spec=spec,
        vocabulary=tuple(predictions.vocabulary),
        counts=tuple(predictions.counts or ()),
        targets_VE=predictions.targets_VD,
        channels=None,
        grouping=Grouping(words=6),
        sfreq_hz=recording.sfreq_hz,
        preparation={},
    )
    write_decoder(run.path / MODEL, saved)
    return run


def predict(store: Path, noise: float, words: tuple[str, ...] | None = None) -> Predictions:
    """Predictions of all groups of a store."""
    groups = grouped(store)
    occurrences = occurrences_of(groups, words)
    vocabulary = LEXICON if words is None else tuple(dict.fromkeys(words))
    generator = torch.Generator().manual_seed(3)
    targets_VE = torch.randn(len(vocabulary), E, generator=generator)
    labels_N = [vocabulary.index(word) for word in occurrences.words]
    values_NE = targets_VE[labels_N] + noise * torch.randn(len(labels_N), E, generator=generator)
    counts = [max(1, 60 - 2 * rank) for rank in range(len(vocabulary))]
    return Predictions(values_NX=values_NE, occurrences=occurrences, vocabulary=vocabulary, targets_VD=targets_VE,
                       counts=counts, about={"run": "run"})  # fmt: skip


def grouped(store: Path) -> WordGroupSet:
    return word_groups(Store(store).recordings(), Grouping(words=6))


def occurrences_of(groups: WordGroupSet, words: tuple[str, ...] | None = None) -> Occurrences:
    rows = [
        (word.text, f"{groups.recordings[g.recording].key} {g.number}", groups.recordings[g.recording], word.onset_s)
        for g in groups
        for word in g.words
    ]
    return Occurrences(
        words=[row[0] for row in rows] if words is None else [words[n % len(words)] for n in range(len(rows))],
        groups=[row[1] for row in rows],
        recordings=[row[2].key for row in rows],
        subjects=[f"{row[2].corpus}/{row[2].subject}" for row in rows],
        sessions=[row[2].session or "" for row in rows],
        onsets_s=[row[3] for row in rows],
    )


def write_tables(folder: Path) -> None:
    """Forty steps; the third of four epochs is the best."""
    metrics, validation = Table(folder / METRICS), Table(folder / VALIDATION)
    rng = np.random.default_rng(0)
    for step in range(1, 41):
        metrics.add(step, {"loss": 10 * 0.96**step + 0.1 * rng.standard_normal(), "lr_head": 1e-3})
    for epoch, value in enumerate((0.2, 0.3, 0.45, 0.44)):
        row = {"epoch": epoch, "loss": 9 - epoch, "balanced_top3_accuracy_retrieval20": value,
               "balanced_top3_accuracy_retrieval10": value + 0.1, "selected": int(epoch < 3), "lr": 1e-3}  # fmt: skip
        validation.add(10 * (epoch + 1), row)
    metrics.flush()
    validation.flush()
