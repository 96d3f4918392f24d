"""What is wrong with a run that decodes words is said before any work: `check_before_work`."""

import sys
from dataclasses import dataclass

import torch

from megxl.checkpoints.checkpoint import weights_warning
from megxl.data.code_grid import refuse_many
from megxl.decoding.building import DecoderSpec
from megxl.decoding.targets import open_encoder
from megxl.errors import InputError
from megxl.model.megxl import MEGXL
from megxl.sizes import MEGXLConfig
from megxl.store.entry import StoredRecording
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.signals import rate_note
from megxl.training.devices import refuse_missing_devices
from megxl.training.lacking import at
from megxl.training.run_config import refuse_placeholders
from megxl.training.running import named_checkpoint
from megxl.training.words.chosen_metrics import check_evaluation
from megxl.training.words.config import WordsConfig
from megxl.training.words.recordings import choose_recordings, make_grouping

FLAT = ("mlp", "linear")
"""Heads that are bound to the number and order of sensors."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the checks found out."""

    model: MEGXL | None
    """The backbone MEG-XL with the weights that it begins with, and its tokenizer; None: there is another backbone."""
    tokenizer: BioCodec | None
    """None: nothing is encoded."""
    notes: tuple[str, ...]
    """What a person should know before the run, one sentence each."""


def check_before_work(config: WordsConfig) -> Checked:
    """Refuse a run that cannot be what its configuration says, before any file is made.

    Recordings are looked at by their descriptions; model, tokenizer and the description of the encoder are loaded.

    Raises
    ------
    InputError
        Devices that are not there; keys that contradict each other; metrics that no answer could miss; a checkpoint,
        tokenizer or encoder that is not there or does not fit; recordings, as `choose_recordings` refuses them.
    """
    refuse_placeholders(config)
    refuse_missing_devices(config.machine)
    _refuse_contradictions(config)
    check_evaluation(config.evaluation, sys.maxsize)
    make_grouping(config.data)
    if config.training.resume_checkpoint is not None:
        named_checkpoint("training.resume_checkpoint", config.training.resume_checkpoint)
    notes = []
    if config.control != "frequency_only":
        with at(f"t5.model_name = {config.t5.model_name}"):
            t5 = config.t5
            open_encoder(t5.model_name, layer=t5.layer, pooling=t5.pooling, revision=t5.revision)
    model, tokenizer = load_start(config)
    for source in (None if model is None else model.provenance, None if tokenizer is None else tokenizer.provenance):
        warning = None if source is None else weights_warning(source)
        if warning and not _random_on_purpose(config):
            notes.append(warning)
    if tokenizer is not None:
        if config.data.codes == "cached":
            with at("data.codes = cached (the other choice is online)"):
                refuse_many(tokenizer.config.codes)
        notes += filter(None, [rate_note(tokenizer.recipe, config.data.target_sfreq)])
    chosen = choose_recordings(config)
    refuse_mixed(chosen.stored, config)
    return Checked(model=model, tokenizer=tokenizer, notes=tuple(dict.fromkeys(notes)))


def refuse_mixed(recordings: "tuple[StoredRecording, ...] | list[StoredRecording]", config: WordsConfig) -> None:
    """Refuse recordings whose sensors are not the same in the same order where a head depends on it."""
    if config.data.channels == "canonical" or config.head not in FLAT or config.model.backbone == "convolution":
        return
    for recording in recordings[1:]:
        if recording.sensors.names != recordings[0].sensors.names:
            raise InputError(
                f"model.head = {config.head} depends on the order of the sensors, but data.channels = file and "
                f"{recordings[0].key} and {recording.key} have other ones or another order; set "
                "data.channels=canonical, or model.head=sensors."
            )


def _refuse_contradictions(config: WordsConfig) -> None:
    model = config.model
    if config.control == "random_backbone" and (model.backbone != "megxl" or model.train_from_scratch):
        other = "model.train_from_scratch = true" if model.train_from_scratch else f"model.backbone = {model.backbone}"
        raise InputError(
            f"control = random_backbone freezes a MEG-XL of random weights, but {other}; give one of the two."
        )
    if model.train_from_scratch and model.backbone != "megxl":
        raise InputError(
            f"model.train_from_scratch = true is for model.backbone = megxl, not {model.backbone}: a convolution "
            "always begins with random weights, and a codec is never trained; leave it out."
        )
    if model.sees != "group" and config.head != "sequence":
        raise InputError(
            f"model.sees = {model.sees} is for model.head = sequence, and this head is {config.head}; leave it out."
        )
    if config.t5.context == "group" and config.head == "sequence":
        raise InputError(
            "t5.context = group and model.head = sequence: targets in context follow from the words around, which such "
            "a head could name without the brain; take t5.context=none, or another head."
        )
    with at("model"):
        DecoderSpec(backbone=model.backbone, head=config.head, sees=model.sees, sensors=1)


def load_start(config: WordsConfig) -> tuple[MEGXL | None, BioCodec | None]:
    """Backbone and tokenizer with the weights that training begins with.

    Raises
    ------
    InputError
        A checkpoint that is needed and not named, cannot be read, or is for another sampling rate.
    """
    section = config.model
    if section.backbone == "convolution" or config.control == "frequency_only":
        return None, None
    tokenizer = None
    if section.tokenizer_checkpoint is not None:
        with at(f"model.tokenizer_checkpoint = {section.tokenizer_checkpoint}"):
            tokenizer = BioCodec.from_pretrained(section.tokenizer_checkpoint)
    random = section.train_from_scratch or config.control == "random_backbone"
    if section.criss_cross_checkpoint is not None:
        beside = "" if tokenizer is None else f", model.tokenizer_checkpoint = {section.tokenizer_checkpoint}"
        with at(f"model.criss_cross_checkpoint = {section.criss_cross_checkpoint}{beside}"):
            model = MEGXL.from_pretrained(section.criss_cross_checkpoint, tokenizer)
        tokenizer = model.tokenizer
    elif tokenizer is None or not (random or section.backbone == "codec"):
        lacking = "criss_cross_checkpoint" if section.backbone == "megxl" else "tokenizer_checkpoint"
        raise InputError(
            f"model.{lacking} has no value; name a {'pre-trained model' if lacking[0] == 'c' else 'codec'}: a file, a "
            "folder, or a name on the hub."
        )
    else:
        model = None
    if tokenizer is None:
        raise InputError(
            "model.tokenizer_checkpoint has no value, and the model holds no codec; name the one that it was trained "
            "with."
        )
    if section.backbone == "codec":
        return None, tokenizer
    sizes = _sizes(config, tokenizer) if model is None else model.config
    if sizes.sfreq_hz != config.data.target_sfreq:
        raise InputError(
            f"data.target_sfreq = {config.data.target_sfreq:g}, but the model reads {sizes.sfreq_hz:g} samples a "
            f"second; set data.target_sfreq={sizes.sfreq_hz:g}."
        )
    if model is None or random:
        torch.manual_seed(config.seed)
        model = MEGXL(sizes, tokenizer)
    return model, tokenizer


def _sizes(config: WordsConfig, tokenizer: BioCodec) -> MEGXLConfig:
    """Published sizes, for the codes of a tokenizer."""
    codec = tokenizer.config
    return MEGXLConfig(
        levels=codec.levels,
        codes=codec.codes,
        code_width=codec.code_width,
        samples_per_token=codec.samples_per_token,
        sfreq_hz=config.data.target_sfreq,
    )


def _random_on_purpose(config: WordsConfig) -> bool:
    return config.model.train_from_scratch or config.control == "random_backbone"
