"""What is wrong with the training of a tokenizer is said before any work: `check_before_work`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from megxl.checkpoints.checkpoint import weights_warning
from megxl.errors import InputError
from megxl.sizes import BioCodecConfig
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.seanet import frames
from megxl.tokenizer.signals import rate_note
from megxl.training.checks import refuse_short
from megxl.training.devices import refuse_missing_devices
from megxl.training.lacking import at
from megxl.training.recordings import Chosen, choose_all
from megxl.training.run_config import refuse_placeholders
from megxl.training.running import checkpoint_to_go_on_from, refuse_shorter
from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the checks found out."""

    start: BioCodec | None
    """The codec to begin with; None: random weights."""
    sizes: BioCodecConfig
    notes: tuple[str, ...]
    """What a person should know before the run, one sentence each."""


def check_before_work(config: TokenizerConfig) -> Checked:
    """Refuse a run that cannot be what its configuration says, before any file is made.

    Files are looked at by their names, the store by its descriptions; a codec to begin with is loaded.

    Raises
    ------
    InputError
        Devices that are not there; sizes that contradict the codec at `model.init_from`; windows shorter than a token
        or than every spectral window; an end that has passed already; fewer vectors in a step than codes to begin
        with; what `megxl.training.recordings.choose_all` refuses, among it recordings of another rate.
    """
    refuse_placeholders(config)
    refuse_missing_devices(config.trainer)
    start = None
    if config.model.init_from is not None:
        with at(f"model.init_from = {config.model.init_from}"):
            start = BioCodec.from_pretrained(config.model.init_from)
    sizes = config.model.sizes(None if start is None else start.config)
    _refuse_short_windows(config, sizes)
    if (checkpoint := checkpoint_to_go_on_from(Run(config.run_dir, config))) is not None:
        refuse_shorter(checkpoint, config.training.num_epochs, config.training.max_steps)
    chosen = choose_all(config)
    refuse_short(config, chosen)
    if start is None:
        _refuse_few_vectors(config, sizes, chosen)
    notes = [note for one in chosen for note in one.notes]
    notes += [] if start is None else _on_start(config, start)
    return Checked(start=start, sizes=sizes, notes=tuple(notes + list(_on_scales(config))))


def _samples(config: TokenizerConfig) -> int:
    return round(config.data.segment_length * config.data.target_sfreq)


def _refuse_short_windows(config: TokenizerConfig, sizes: BioCodecConfig) -> None:
    data, samples = config.data, _samples(config)
    window = f"data.segment_length = {data.segment_length:g} s has {samples} samples at {data.target_sfreq:g} Hz"
    if samples < sizes.samples_per_token:
        raise InputError(
            f"{window}, fewer than the {sizes.samples_per_token} of a token (model.strides = {list(sizes.strides)}): "
            f"give at least {sizes.samples_per_token / data.target_sfreq:g} s."
        )
    if config.loss.spectral and samples < (least := min(config.loss.n_ffts)):
        raise InputError(
            f"{window}, fewer than the shortest spectral window ({least}, loss.n_ffts): give at least "
            f"{least / data.target_sfreq:g} s, or shorter spectral windows."
        )
    if data.block_s is not None and data.block_s * data.target_sfreq < 2:
        raise InputError(
            f"data.block_s = {data.block_s:g} s has less than two samples at {data.target_sfreq:g} Hz, which cannot be "
            "scaled; allowed: longer ones (3 in pre-training), or null for the whole window."
        )


def _refuse_few_vectors(config: TokenizerConfig, sizes: BioCodecConfig, chosen: Sequence[Chosen]) -> None:
    """Refuse code books that cannot begin as clusters of the first step's vectors, as far as their number is known."""
    most = config.codebooks.kmeans_vectors
    if most < sizes.codes:
        raise InputError(
            f"codebooks.kmeans_vectors = {most}, fewer than model.codes = {sizes.codes}, which begin as their "
            f"clusters: give at least {sizes.codes}, better ten times as many."
        )
    sensors = config.data.sensors_per_window
    known = [len(recording.sensors) for one in chosen for recording in one.stored]
    if known:
        sensors = max(known) if sensors is None else min(sensors, max(known))
    if sensors is None:
        return
    windows = config.batch_size * config.trainer.accumulate_grad_batches * _devices(config)
    vectors = windows * sensors * frames(_samples(config), sizes.strides)
    if vectors < sizes.codes:
        raise InputError(
            f"The first step has {vectors} vectors ({windows} windows, {sensors} sensors of each), fewer than "
            f"model.codes = {sizes.codes}, which begin as their clusters: raise training.batch_size or "
            "data.sensors_per_window, or give fewer codes."
        )


def _devices(config: TokenizerConfig) -> int:
    devices = config.trainer.devices
    if devices == "auto":
        devices = 1 if config.trainer.accelerator == "cpu" else max(1, torch.cuda.device_count())
    return config.trainer.num_nodes * (len(devices) if isinstance(devices, tuple) else int(devices))


def _on_start(config: TokenizerConfig, start: BioCodec) -> Iterator[str]:
    """Say where the codec to begin with was trained on something else, or on nothing."""
    if warning := weights_warning(start.provenance):
        yield f"The codec at model.init_from: {warning}"
    if note := rate_note(start.recipe, config.data.target_sfreq):
        yield f"model.init_from: {note}"


def _on_scales(config: TokenizerConfig) -> Iterator[str]:
    long = [n_fft for n_fft in config.loss.n_ffts if n_fft > _samples(config)]
    if long and config.loss.spectral:
        yield f"loss.n_ffts: {', '.join(map(str, long))} are longer than a window and left out of the loss."
