"""One prepared recording on its way through the model, window by window, in bounded memory.

Letters: B batch, C sensors, T samples or tokens, D width, N rows, Q levels, V codes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import weights_warning
from megxl.errors import InputError
from megxl.extraction.embedding import Embedding
from megxl.extraction.notes import electrode_notes, reference_notes, window_notes
from megxl.extraction.settings import Bads, ExtractionSettings
from megxl.extraction.staging import GrowingArray
from megxl.extraction.windows import Window, cut_windows, token_times
from megxl.model.megxl import MEGXL
from megxl.signals.normalization import BLOCK_S, scale_blocks
from megxl.signals.preparation import PreparedRecording
from megxl.signals.sensors import SensorArray
from megxl.tokenizer.biocodec import BioCodec
from megxl.tokenizer.signals import rate_note


class Progress(Protocol):
    """What is called as the work goes on."""

    def __call__(self, stage: str, done: int, total: int, tokens: int) -> None:
        """Say that `done` of `total` steps of a stage are done, and how many tokens were embedded so far."""


class Extraction:
    """A model, a prepared recording and settings that fit each other.

    Raises
    ------
    InputError
        On construction, if they do not.
    """

    def __init__(self, model: MEGXL, prepared: PreparedRecording, settings: ExtractionSettings) -> None:
        config = model.config
        self.model, self.prepared, self.settings = model, prepared, settings
        self.tokenizer = check_model(model, settings)
        self.windows = cut_windows(
            prepared.signal_CT.shape[1],
            settings.window_samples(config.sfreq_hz, config.samples_per_token),
            config.samples_per_token,
        )
        self.bad_C = _bad_sensors(prepared, bads_policy(model, settings))
        n_sensors, n_tokens = len(prepared.sensors), self.windows[-1].tokens.stop
        self.shape = {
            "none": (n_sensors, n_tokens, config.width),
            "sensor": (len(self.windows), n_sensors, config.width),
            "time": (n_tokens, config.width),
        }[settings.pooling]

    @property
    def n_bytes(self) -> int:
        """Size of the features."""
        return int(np.prod(self.shape)) * np.dtype(np.float32).itemsize

    def run(self, folder: Path | None, progress: Progress | None) -> Embedding:
        """Embed every window; the features go to a file in `folder`, or stay in memory."""
        config, sensors = self.model.config, self.prepared.sensors
        features = GrowingArray(self.shape, None if folder is None else folder / "features.npy")
        energy_C = np.zeros(len(sensors))
        usage_QV = np.zeros((config.levels, config.codes), dtype=np.int64)

        def report(done: int, tokens: int) -> None:
            if progress is not None:
                progress("embedding", done, len(self.windows), tokens)

        report(0, 0)
        with evaluating(self.model):
            for number, window in enumerate(self.windows):
                features_CTD, codes_CTQ = self._embed(window)
                features.write(*self._pool(number, window, features_CTD))
                energy_C += torch.linalg.vector_norm(features_CTD, dim=-1).cpu().double().square().sum(-1).numpy()
                usage_QV += _count_codes(codes_CTQ[~self.bad_C], config.codes)
                report(number + 1, len(sensors) * window.tokens.stop)
        return Embedding(
            features=features.read(),
            times_s=token_times(self.windows, config.samples_per_token, config.sfreq_hz),
            sensors=sensors,
            bad=self.bad_C,
            windows=self.windows,
            energy=energy_C / self.windows[-1].tokens.stop,
            code_usage=usage_QV,
            settings=_as_stored(self._settings()),
            provenance=_as_stored(self._provenance()),
            notes=self._notes(),
            warning=self._warning(),
        )

    def _embed(self, window: Window) -> tuple[Tensor, np.ndarray]:
        """Features (C, T, D) on the model's device, 0 at bad sensors, and codes (C, T, Q)."""
        signal_BCT = torch.from_numpy(self.prepared.signal_CT[None, :, window.start : window.stop])
        features_BCTD, codes_BCTQ = embed_signal(
            self.model, signal_BCT, self.prepared.sensors, self.bad_C, self.settings
        )
        return features_BCTD[0], codes_BCTQ[0].cpu().numpy()

    def _pool(self, number: int, window: Window, features_CTD: Tensor) -> tuple[Any, np.ndarray]:
        """Say where in the output a window's features go, and what goes there."""
        if self.settings.pooling == "sensor":
            return number, features_CTD.mean(1).cpu().numpy()
        if self.settings.pooling == "time":
            # bad sensors are 0 in the sum and do not count
            return window.tokens, (features_CTD.sum(0) / int((~self.bad_C).sum())).cpu().numpy()
        return (slice(None), window.tokens), features_CTD.cpu().numpy()

    def _settings(self) -> dict[str, Any]:
        config = self.model.config
        return {
            **asdict(self.settings),
            "bads": bads_policy(self.model, self.settings),
            "layer": self.settings.layer_index(config.layers),
            "compat": self.model.compat,
            "sfreq_hz": config.sfreq_hz,
            "samples_per_token": config.samples_per_token,
            "device": str(next(self.model.parameters()).device),
        }

    def _provenance(self) -> dict[str, Any]:
        return {
            "recording": self.prepared.provenance,
            "model": {**self.model.provenance, "config": asdict(self.model.config)},
            "tokenizer": {**self.tokenizer.provenance, "config": asdict(self.tokenizer.config)},
            # not an import statement: the package's root names all rooms, and the walls are checked by those
            "software": {"megxl": import_module("megxl").__version__}
            | {name: version(name) for name in ("torch", "mne", "numpy")},
        }

    def _warning(self) -> str | None:
        return weights_warning(self.model.provenance, self.tokenizer.provenance)

    def _notes(self) -> list[str]:
        warning = self._warning()
        return [
            *([] if warning is None else [warning]),
            *self.prepared.notes,
            *window_notes(self.windows, self.prepared, self.settings, self.model.config.samples_per_token),
            *reference_notes(self.prepared, self.settings, bads_policy(self.model, self.settings)),
            *electrode_notes(self.prepared.sensors, self.model.config.sensor_kinds),
            *filter(None, [rate_note(self.tokenizer.recipe, self.model.config.sfreq_hz)]),
        ]


@torch.no_grad()
def embed_signal(
    model: MEGXL, signal_BCT: Tensor, sensors: SensorArray, bad_C: np.ndarray, settings: ExtractionSettings
) -> tuple[Tensor, Tensor]:
    """Scale, tokenize and embed a prepared signal.

    Parameters
    ----------
    model : MEGXL
        In evaluation, with its tokenizer.
    signal_BCT : Tensor, shape (B, C, T samples)
        At the model's rate, on any device.
    sensors : SensorArray
    bad_C : array of bool, shape (C,)
        Sensors that take no part.
    settings : ExtractionSettings
        Its layer and dtype count.

    Returns
    -------
    features_BCTD : Tensor
        float32, on the model's device, 0 at bad sensors.
    codes_BCTQ : Tensor
    """
    tokenizer, device = check_model(model, settings), next(model.parameters()).device
    scaled_BCT = scale_blocks(signal_BCT.to(device), round(BLOCK_S * model.config.sfreq_hz))
    codes_BCTQ = tokenizer.tokenize(scaled_BCT)
    good_BC = torch.from_numpy(~bad_C).to(device).expand(len(signal_BCT), -1) if bad_C.any() else None
    with torch.autocast(device.type, torch.bfloat16) if settings.dtype == "bfloat16" else nullcontext():
        features_BCTD = model(codes_BCTQ, sensors, good_BC, layer=settings.layer).float()
    if good_BC is not None:
        features_BCTD[~good_BC] = 0.0
    return features_BCTD, codes_BCTQ


@contextmanager
def evaluating(model: MEGXL) -> Iterator[None]:
    """Keep a model in evaluation for a while, then let it go on as before."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def check_model(model: MEGXL, settings: ExtractionSettings) -> BioCodec:
    """Return the model's tokenizer, or raise an `InputError` if the model cannot do what the settings ask for."""
    settings.window_samples(model.config.sfreq_hz, model.config.samples_per_token)
    settings.layer_index(model.config.layers)
    if model.tokenizer is None:
        raise InputError(
            "The model has no tokenizer: give one with MEGXL.from_pretrained(..., tokenizer=...) or --tokenizer."
        )
    return model.tokenizer


def bads_policy(model: MEGXL, settings: ExtractionSettings) -> Bads:
    """Say what happens to channels marked bad: the published system let them take part, so reference mode does."""
    return "keep" if settings.bads == "mask" and model.compat != "default" else settings.bads


def _bad_sensors(prepared: PreparedRecording, policy: Bads) -> np.ndarray:
    bad_C = np.isin(prepared.sensors.names, prepared.bads) & (policy == "mask")
    if bad_C.all():
        raise InputError(
            f"All {len(bad_C)} sensors are marked bad: nothing is left to embed. "
            "Unmark some, or let them take part (--bads keep)."
        )
    return bad_C


def _as_stored(facts: dict[str, Any]) -> dict[str, Any]:
    """Make tuples lists, as JSON does: what is in memory equals what is loaded."""
    return json.loads(json.dumps(facts))


def _count_codes(codes_NTQ: np.ndarray, n_codes: int) -> np.ndarray:
    """Count how often each code occurs at each level, shape (Q, V)."""
    return np.stack([np.bincount(level.ravel(), minlength=n_codes) for level in np.moveaxis(codes_NTQ, -1, 0)])
