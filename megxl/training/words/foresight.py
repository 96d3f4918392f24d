"""What a run needs and is going to take, before it begins: groups, memory, disk, hours, and what is missing for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from megxl.corpora.corpus import PUBLISHED_NAMES
from megxl.decoding.targets import OFFLINE
from megxl.errors import InputError
from megxl.training.words.config import WordsConfig
from megxl.training.words.plan import ASSUMED_MFU, Amount, Load, disk_bytes, hours, memory_bytes
from megxl.training.words.protocol import make_protocol
from megxl.training.words.recordings import ChosenWords, choose_recordings, group_words

WEIGHTS = "https://huggingface.co/pnpl/MEG-XL"


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """Of one run."""

    amount: Amount
    recordings: int
    """In the store, in which the groups were counted; 0: they were reckoned from the hours of the corpus."""
    hours: float
    """At most: training may stop before its last epoch."""
    memory: dict[str, int]
    """Bytes by part."""
    disk: dict[str, int]
    """Bytes by part."""
    missing: tuple[str, ...]
    """What is not there and must be, with the way to get it, a sentence each."""
    notes: tuple[str, ...]
    """What else a person should know."""


def foresee(config: WordsConfig, *, gpu: str, corpus_hours: float, sensors: int, mfu: float = ASSUMED_MFU) -> Foresight:
    """Reckon what a run takes, of the published size of the model.

    Parameters
    ----------
    config : WordsConfig
    gpu : str
        A name of `megxl.model.benchmark.PEAK_BF16`.
    corpus_hours, sensors : float, int
        Of the corpus, where the store holds nothing of it.
    mfu : float
        Share of the GPU's peak that is reached.
    """
    chosen, why = _chosen(config)
    stored = chosen.stored if chosen is not None and not chosen.lacking else ()
    load = Load.of(
        config,
        sensors=max((len(recording.sensors.names) for recording in stored), default=sensors),
        target_width=config.model.word_mlp.embed_dim or 1024,
    )
    amount = _counted(config, chosen) if chosen is not None and stored else Amount.expected(corpus_hours, config)
    return Foresight(
        amount=amount,
        recordings=len(stored),
        hours=hours(load, amount, gpu, mfu),
        memory=memory_bytes(load),
        disk=disk_bytes(load, amount),
        missing=tuple(_missing(config, why)),
        notes=(*_on_encoder(config.t5.model_name), *(chosen.notes if chosen is not None else ())),
    )


def _chosen(config: WordsConfig) -> tuple[ChosenWords | None, str]:
    """Recordings of the run, or why they cannot be had."""
    try:
        return choose_recordings(config), ""
    except InputError as error:
        return None, str(error)


def _counted(config: WordsConfig, chosen: ChosenWords) -> Amount:
    groups, _ = group_words(chosen, config)
    split = make_protocol(groups, groups.recordings, config).split
    return Amount(
        train=len(split.train),
        validation=len(split.validation),
        test=len(split.test),
        epochs=config.training.num_epochs,
    )


def _missing(config: WordsConfig, why: str) -> Iterator[str]:
    data, model = config.data, config.model
    if why:
        corpus = PUBLISHED_NAMES.get(str(data.dataset_type), str(data.dataset_type))
        yield f"{why} To get it: `megxl fetch {corpus} ROOT`, `megxl prepare {corpus} ROOT --store {data.cache_dir}`."
    for key in ("criss_cross_checkpoint", "tokenizer_checkpoint"):
        given = getattr(model, key)
        if key == "criss_cross_checkpoint" and given is None:
            yield f"The pre-trained model: get meg-xl-med.ckpt from {WEIGHTS} and give model.{key}=PATH."
        elif given is not None and _is_path(given) and not Path(given).expanduser().exists():
            yield f"model.{key} = {given} does not exist; the released weights are at {WEIGHTS}."


def _on_encoder(name: str) -> Iterator[str]:
    if not _has_encoder(name):
        yield (
            f"t5.model_name = {name} is not on this machine: it is downloaded when the run begins, or give a folder of "
            f"it; without a network t5.model_name={OFFLINE} works (other targets, so other numbers)."
        )


def _is_path(given: str) -> bool:
    """Whether a checkpoint's name is a file's rather than one of the hub (org/name)."""
    return given.startswith((".", "/", "~")) or given.count("/") != 1


def _has_encoder(name: str) -> bool:
    if name == OFFLINE:
        return find_spec("wordllama") is not None
    if Path(name).expanduser().is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError as error:
        raise InputError(f"t5.model_name = {name}: there is no such folder, and it is no name of the hub.") from error
