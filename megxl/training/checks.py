"""What is wrong with a run is said before any work: `check_before_work`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from megxl.checkpoints.checkpoint import weights_warning
from megxl.checkpoints.files import read_checkpoint
from megxl.data.cached_codes import other_tokenizers
from megxl.data.code_grid import WindowGrid, pieces, plan, refuse_many
from megxl.data.preparing.summary import counted
from megxl.errors import InputError
from megxl.model.masking import plan_mask
from megxl.model.pairing import OF_CODES, refuse_other_tokenizer
from megxl.signals.normalization import BLOCK_S
from megxl.sizes import MEGXLConfig
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.fingerprint import codec_fingerprint
from megxl.tokenizer.signals import rate_note
from megxl.training.config import PretrainConfig
from megxl.training.corpora_config import CorporaConfig
from megxl.training.devices import refuse_missing_devices
from megxl.training.lacking import writable
from megxl.training.recordings import Chosen, choose_all
from megxl.training.run_config import refuse_placeholders
from megxl.training.running import refuse_shorter
from megxl.training.runs import Run
from megxl.training.sensor_kinds import sensor_kinds


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the checks found out."""

    tokenizer: BioCodec
    sizes: MEGXLConfig
    tokens: int
    """Tokens of a window."""
    notes: tuple[str, ...]
    """What a person should know before the run, one sentence each."""


def check_before_work(config: PretrainConfig) -> Checked:
    """Refuse a run that cannot be what its configuration says, before any file is made.

    Files are looked at by their names, the store by its descriptions; the tokenizer is loaded.

    Raises
    ------
    InputError
        Devices that are not there; settings that contradict each other; a tokenizer that is not there, or does not fit
        the model or the codes in the store; windows too short for their masks; what
        `megxl.training.recordings.choose_all` refuses.
    """
    refuse_placeholders(config)
    refuse_missing_devices(config.trainer)
    _refuse_contradictions(config)
    with _at(f"model.tokenizer_ckpt = {config.model.tokenizer_ckpt}"):
        tokenizer = BioCodec.from_pretrained(config.model.tokenizer_ckpt)
    tokens = tokenizer.tokens(round(config.data.segment_length * config.data.target_sfreq))
    sizes = _sizes(config, tokenizer, tokens)
    start = _refuse_other_start(config, sizes, tokenizer)
    _refuse_other_run(config, tokenizer)
    chosen = choose_all(config)
    if config.model.sensor_kinds is None:
        sizes = replace(sizes, sensor_kinds=start.sensor_kinds if start else sensor_kinds(chosen))
    refuse_short(config, chosen)
    notes = [note for one in chosen for note in one.notes]
    if config.data.codes == "cached":
        notes += _on_codes(config, chosen, codec_fingerprint(tokenizer))
    if warning := weights_warning(tokenizer.provenance):
        notes.append(f"The tokenizer: {warning}")
    if note := rate_note(tokenizer.recipe, sizes.sfreq_hz):
        notes.append(note)
    if config.model.swap_tokenizer:
        notes.append(
            "What reads and names codes begins at random: the tokenizer was swapped for another (model.swap_tokenizer)."
        )
    return Checked(tokenizer=tokenizer, sizes=sizes, tokens=tokens, notes=tuple(notes))


def _refuse_contradictions(config: PretrainConfig) -> None:
    data, model = config.data, config.model
    if model.sampling_rate != data.target_sfreq:
        raise InputError(
            f"model.sampling_rate = {model.sampling_rate:g}, but data.target_sfreq = {data.target_sfreq:g}: recordings "
            "are prepared at the rate that the model reads; give both the same (50 in the published model)."
        )
    for key, given in (("data.jitter", data.jitter), ("data.shuffle_segments", data.shuffle_segments)):
        if given and data.codes == "cached":
            raise InputError(
                f"{key} = true changes the signal from epoch to epoch, but data.codes = cached keeps the codes of one: "
                f"set data.codes=online, or {key}=false."
            )


def _sizes(config: PretrainConfig, tokenizer: BioCodec, tokens: int) -> MEGXLConfig:
    """Sizes of the model that reads the codes of a tokenizer, with masks that fit into its windows."""
    data, model = config.data, config.model
    sizes = model.sizes(tokens, tokenizer.config)
    if data.codes == "cached":
        with _at("data.codes = cached (the other choice is online)"):
            refuse_many(tokenizer.config.codes)
    if data.segment_length < BLOCK_S:
        raise InputError(
            f"data.segment_length = {data.segment_length:g} s has no whole block of {BLOCK_S:g} s to hide; give longer "
            "windows (150 in the published model)."
        )
    blocks = int(tokens * sizes.samples_per_token / sizes.sfreq_hz / BLOCK_S)
    if sizes.masked_blocks > blocks:
        raise InputError(
            f"model.num_subsegments_to_mask = {sizes.masked_blocks}, but a window of data.segment_length = "
            f"{data.segment_length:g} s has {blocks} blocks of {BLOCK_S:g} s; allowed: at most {blocks}, or null for "
            f"model.mask_share = {model.mask_share:g} of them."
        )
    with _at(f"model.mask_duration = {model.mask_duration:g}"):
        plan_mask(tokens, sizes)
    return sizes


def _refuse_other_start(config: PretrainConfig, sizes: MEGXLConfig, tokenizer: BioCodec) -> MEGXLConfig | None:
    """Refuse weights to begin with of other sizes than this run has, or that read the codes of another tokenizer.

    Returns the sizes of the weights, if there are any to begin with.
    """
    start = config.model.init_from
    if start is None:
        return None
    with _at(f"model.init_from = {start}"):
        checkpoint = read_checkpoint(start, kind="megxl")
    theirs = MEGXLConfig(**{name: value for name, value in checkpoint.config.items() if name != "tokenizer"})
    names = ["width", "layers", "heads", "fourier_width", *(["sensor_kinds"] if config.model.sensor_kinds else [])]
    if not config.model.swap_tokenizer:
        names = [*OF_CODES, *names]
    for name in names:
        was, wanted = getattr(theirs, name), getattr(sizes, name)
        if was != wanted:
            raise InputError(
                f"model.init_from = {start} has {name} = {was}, this run has {wanted}: choose the tokenizer and the "
                f"sizes (model group) that these weights were trained with, or other weights.{_swap(name in OF_CODES)}"
            )
    if config.model.swap_tokenizer:
        return theirs
    try:
        refuse_other_tokenizer(checkpoint, tokenizer)
    except InputError as error:
        raise InputError(
            f"model.init_from = {start} was trained with another tokenizer than model.tokenizer_ckpt = "
            f"{config.model.tokenizer_ckpt} of the same sizes; choose the one that belongs to it.{_swap(True)}"
        ) from error
    return theirs


def _swap(offered: bool) -> str:
    return " To go over to this tokenizer, set model.swap_tokenizer=true." if offered else ""


def _refuse_other_run(config: PretrainConfig, tokenizer: BioCodec) -> None:
    """Refuse to go on with a run whose tokenizer is no longer what lies at its path: codes of two would be mixed."""
    named = config.checkpoint.resume_path
    newest = Run(config.run_dir, config).checkpoint_to_resume() if config.resume else None
    path = newest if named is None else Path(named).expanduser()
    if path is None or not path.is_file():
        return
    # names a damaged file, and what to go on from
    refuse_shorter(path, config.training.num_epochs, config.training.max_steps)
    checkpoint = read_checkpoint(path, kind="megxl")
    try:
        refuse_other_tokenizer(checkpoint, tokenizer)
    except InputError as error:
        raise InputError(
            f"model.tokenizer_ckpt = {config.model.tokenizer_ckpt} is not the tokenizer with which {path} was trained; "
            "put that one back, or begin a new run."
        ) from error


def refuse_short(config: CorporaConfig, chosen: Sequence[Chosen]) -> None:
    """Refuse windows that no stored recording is as long as, where all of a part are stored."""
    window_s = config.data.segment_length
    for part in ("train", "validation"):
        keys = {key for one in chosen for key in getattr(one.split, part)}
        stored = [recording for one in chosen for recording in one.stored if recording.key in keys]
        if len(stored) < len(keys) or any(r.n_samples >= round(window_s * r.sfreq_hz) for r in stored):
            continue
        longest = max(stored, key=lambda recording: recording.n_samples)
        raise InputError(
            f"data.segment_length = {window_s:g}: none of {counted(len(stored), 'recording')} for {part} is as long as "
            f"a window; the longest, {longest.key}, lasts {longest.duration_s:.1f} s. Choose shorter windows."
        )


def _on_codes(config: PretrainConfig, chosen: list[Chosen], tokenizer: str) -> Iterator[str]:
    """Refuse codes of another tokenizer in a store that is used as it is; say where they lie beside ours."""
    grid = WindowGrid(window_s=config.data.segment_length)
    for one in chosen:
        wanted = {r: plan(r, grid, found, tokenizer) for r in one.stored if (found := pieces(r, grid))}
        lacking = [recording for recording, codes in wanted.items() if not codes.folder(recording).is_dir()]
        if lacking and not writable(lacking[0].folder):
            raise InputError(
                f"{counted(len(lacking), 'recording')} of {one.source.name} have no codes of this tokenizer (first: "
                f"{lacking[0].key}), and data.cache_dir = {config.data.cache_dir} cannot be written to; change its "
                "permissions, or set data.codes=online."
            )
        others = {r.key: made_by for r in lacking for made_by in other_tokenizers(r, wanted[r])[:1]}
        if others and one.request is None:
            key, made_by = next(iter(others.items()))
            raise InputError(
                f"{one.place} ({one.source.name}): the codes in the store were made by another tokenizer than "
                f"model.tokenizer_ckpt = {config.model.tokenizer_ckpt} (first: {key}, by {made_by[:12]}, not "
                f"{tokenizer[:12]}). Name that one, set data.codes=online, or give {one.place}.data_root to have codes "
                "of this one written beside them."
            )
        if others:
            yield (
                f"{one.source.name}: {counted(len(others), 'recording')} in the store have codes of another tokenizer; "
                "those of this one are written beside them."
            )


@contextmanager
def _at(key: str) -> Iterator[None]:
    """Say by which key an error came."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
