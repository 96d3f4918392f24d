"""From a recording to features: choose sensors, prepare, embed, write."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from megxl.errors import InputError
from megxl.extraction.embedding import Embedding, load_embedding
from megxl.extraction.run import Extraction, Progress, bads_policy, check_model
from megxl.extraction.settings import (
    TRAINED_WINDOW_S,
    Bads,
    Channels,
    Dtype,
    ExtractionSettings,
    Pooling,
    Reference,
)
from megxl.extraction.staging import check_output, check_space, is_archive, staging
from megxl.model.megxl import MEGXL
from megxl.signals.preparation import Preparation, PreparedRecording, prepare
from megxl.signals.reading import choose_channels, open_recording

if TYPE_CHECKING:
    import mne


def embed_recording(
    model: MEGXL,
    raw: "mne.io.BaseRaw | str | Path",
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    window_s: float = TRAINED_WINDOW_S,
    channels: Channels = "auto",
    exclude: Sequence[str] = (),
    bads: Bads = "mask",
    reference: Reference = "average",
    pooling: Pooling = "none",
    layer: int = -1,
    device: str | torch.device | None = None,
    dtype: Dtype = "float32",
    progress: Progress | None = None,
    allow_maxshield: bool = False,
    montage: str | Path | None = None,
) -> Embedding:
    """Turn a whole recording into the model's features.

    Parameters
    ----------
    model : MEGXL
        A model with its tokenizer.
    raw : mne.io.BaseRaw, str or Path
        The recording, or a file that MNE reads.
    out : str or Path, optional
        Where the features go, window by window: a name in .npz, or a folder of memory-mappable .npy. By default they
        stay in memory.
    overwrite : bool
        Whether an older output of that name may be replaced.
    window_s, channels, exclude, bads, reference, pooling, layer, dtype
        See `ExtractionSettings`.
    device : str or torch.device, optional
        The model is moved there; by default it stays where it is.
    progress : callable, optional
        Called with stage, done, total, tokens.
    allow_maxshield : bool
        Whether raw MaxShield data may be read (only if `raw` is a path).
    montage : str or Path, optional
        Positions of electrodes: a file, or a name that MNE knows (only if `raw` is a path).

    Returns
    -------
    Embedding

    Raises
    ------
    InputError
        For whatever cannot be read, done or written as asked, before anything is written.
    """
    settings = ExtractionSettings(
        window_s=window_s,
        channels=channels,
        exclude=tuple(exclude),
        bads=bads,
        reference=reference,
        pooling=pooling,
        layer=layer,
        dtype=dtype,
    )
    check_model(model, settings)
    if out is not None:
        check_output(Path(out), overwrite=overwrite)
    opened = _opened(raw, allow_maxshield, montage)
    prepared = prepare_recording(model, opened, settings, progress=progress)
    return embed_prepared(model, prepared, settings, out=out, overwrite=overwrite, device=device, progress=progress)


def prepare_recording(
    model: MEGXL, raw: "mne.io.BaseRaw", settings: ExtractionSettings, *, progress: Progress | None = None
) -> PreparedRecording:
    """Choose the sensors of a recording and filter and resample them as the model expects."""
    names = choose_channels(raw, settings.channels, settings.exclude)
    done = 0

    def advance(n_channels: int) -> None:
        nonlocal done
        done += n_channels
        if progress is not None:
            progress("preparing", done, len(names), 0)

    advance(0)
    preparation = Preparation(sfreq_hz=model.config.sfreq_hz, reference=settings.reference)
    return prepare(raw, names, preparation, bads=bads_policy(model, settings), advance=advance)


def embed_prepared(
    model: MEGXL,
    prepared: PreparedRecording,
    settings: ExtractionSettings | None = None,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Embedding:
    """Turn a prepared recording into features; parameters as in `embed_recording`."""
    settings = settings or ExtractionSettings()
    if device is not None:
        model.to(device)
    extraction = Extraction(model, prepared, settings)
    if out is None:
        return extraction.run(None, progress)
    out = Path(out)
    with staging(out, overwrite=overwrite) as folder:
        check_space(folder, extraction.n_bytes * (2 if is_archive(out) else 1))
        extraction.run(folder, progress).write_rest(folder)
    return load_embedding(out)


def _opened(raw: "mne.io.BaseRaw | str | Path", allow_maxshield: bool, montage: str | Path | None) -> "mne.io.BaseRaw":
    from mne.io import BaseRaw

    if isinstance(raw, str | Path):
        return open_recording(raw, allow_maxshield=allow_maxshield, montage=montage)
    if not isinstance(raw, BaseRaw):
        raise InputError(
            f"A recording is wanted, not {type(raw).__name__}: give an mne.io.BaseRaw or the path of a file. "
            "Continuous data go through the model; an array becomes a recording with mne.io.RawArray(array, info)."
        )
    if allow_maxshield or montage is not None:
        raise InputError(
            "allow_maxshield and montage are for paths: an opened recording was read already; use raw.set_montage(...)."
        )
    return raw
