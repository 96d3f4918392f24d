"""`MEGXLFeatures`: trials to features, as a transformer of scikit-learn.

Letters: N trials, B trials at once, C sensors, T samples or tokens, D width, F features.
"""

import warnings
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import weights_warning
from megxl.errors import InputError
from megxl.extraction.run import bads_policy, check_model, embed_signal, evaluating
from megxl.extraction.settings import Channels, ExtractionSettings, Reference
from megxl.model.megxl import MEGXL, Compat
from megxl.sklearn.notes import trial_notes
from megxl.sklearn.trials import ChannelInfo, Trials, open_trials
from megxl.sklearn.weights import find_model, packed, unpacked
from megxl.tokenizer.biocodec import BioCodec

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ModuleNotFoundError as error:
    raise InputError("MEGXLFeatures needs scikit-learn: pip install 'megxl[decode]'.") from error

Pooling = Literal["mean", "sensor", "time", "none"]


class MEGXLFeatures(TransformerMixin, BaseEstimator):
    """Features of trials: `mne.Epochs`, or an array of shape (trials, sensors, samples).

    Nothing is learned: `fit` loads the model and notes what the trials are. A trial is brought to the model's rate,
    scaled in blocks of 3 s, tokenized and embedded by itself; it is not filtered, because it is too short for a
    high-pass of 0.1 Hz: filter the recording before you cut it. The model was trained with 150 s at once; where
    context matters, embed the whole recording (`megxl.embed_recording`) and cut its features.

    Parameters
    ----------
    model : str, Path or MEGXL
        A file, a folder, a name on the hub; it is read when it is needed, once for all copies, and stays out of
        pickles. Or a model with its tokenizer, which all copies share and which pickles carry.
    tokenizer : str, Path or BioCodec, optional
        Where the model's file carries none.
    pooling : {"mean", "sensor", "time", "none"}
        Mean over good sensors and tokens; over tokens, so that each sensor has its features; over good sensors, so
        that each token of 0.24 s has; or no mean, all side by side.
    layer : int
        Features after this many layers: 0 is the embedding, -1 the last layer.
    sensors : SensorArray, mne.Info or chs_info, optional
        What the rows of an array are; epochs bring their own.
    sfreq_hz : float, optional
        Samples a second of an array; epochs bring their own.
    channels : {"auto", "meg", "mag", "grad", "eeg", "meg+eeg"}
        Which sensors of epochs: all MEG or else EEG ("auto").
    bads : {"mask", "keep"}
        Sensors in ``info["bads"]``: no part in attention and features 0, or as good ones.
    reference : {"average", "recorded"}
        Electrodes: less the mean of the good ones that are not silent in the trial, or as they were recorded.
    batch_size : int
        Trials that the model sees at once; it changes memory and speed only.
    device : str, optional
        The model is moved there; by default it stays where it is.
    compat : {"default", "reference", "reference-dropout"}
        See `MEGXL`.

    Attributes
    ----------
    sensors_ : SensorArray
        Those of the trials seen by `fit`.
    n_tokens_ : int
        Tokens of a trial.
    notes_ : list of str
        What you should know about these features.
    warning_ : str or None
        Set when the weights were random or never trained: then the features mean nothing.
    """

    def __init__(
        self,
        model: MEGXL | str | Path,
        *,
        tokenizer: BioCodec | str | Path | None = None,
        pooling: Pooling = "mean",
        layer: int = -1,
        sensors: ChannelInfo | None = None,
        sfreq_hz: float | None = None,
        channels: Channels = "auto",
        bads: Literal["mask", "keep"] = "mask",
        reference: Reference = "average",
        batch_size: int = 8,
        device: str | torch.device | None = None,
        compat: Compat = "default",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pooling: Pooling = pooling
        self.layer = layer
        self.sensors = sensors
        self.sfreq_hz = sfreq_hz
        self.channels: Channels = channels
        self.bads: Literal["mask", "keep"] = bads
        self.reference: Reference = reference
        self.batch_size = batch_size
        self.device = device
        self.compat: Compat = compat

    def fit(self, X: Any, y: Any = None) -> "MEGXLFeatures":
        """Load the model and note what the trials are; `y` is not looked at.

        Raises
        ------
        InputError
            Parameters that are not known, a model that cannot be loaded, trials that it cannot take.
        """
        settings, model, trials = self._settled(X)
        codec = check_model(model, settings)
        self.sensors_ = trials.sensors
        self.n_tokens_ = codec.tokens(_samples(model, trials))
        self._token_s = model.config.samples_per_token / model.config.sfreq_hz
        self._width = model.config.width
        self._weights_sha256 = model.provenance.get("sha256")
        self.notes_ = trial_notes(model, trials, settings)
        self.warning_ = weights_warning(model.provenance, codec.provenance)
        if self.warning_ is not None:
            warnings.warn(self.warning_, stacklevel=2)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Turn trials into features.

        Returns
        -------
        array, shape (N, F)
            float32; `get_feature_names_out` names the columns.

        Raises
        ------
        InputError
            Trials whose features would mean something else than those seen by `fit`; samples that are not finite.
        """
        check_is_fitted(self)
        settings, model, trials = self._settled(X)
        self._refuse_others(model, trials)
        bad_C = trials.marked_C & (bads_policy(model, settings) == "mask")
        if bad_C.all():
            raise InputError(
                f"All {len(bad_C)} sensors are marked bad: unmark some, or let them take part: bads='keep'."
            )
        features_NF = np.empty((trials.shape[0], len(self.get_feature_names_out())), dtype=np.float32)
        with evaluating(model):
            for start in range(0, len(features_NF), self.batch_size):
                rows = slice(start, start + self.batch_size)
                signal_BCT = trials.prepared(rows, model.config.sfreq_hz, bad_C, self.reference)
                features_BCTD, _ = embed_signal(model, torch.from_numpy(signal_BCT), trials.sensors, bad_C, settings)
                features_NF[rows] = self._pooled(features_BCTD, int((~bad_C).sum())).cpu().numpy()
        return features_NF

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns: sensor, onset of the token in the trial, number of the feature.

        Parameters
        ----------
        input_features : ignored
        """
        check_is_fitted(self)
        onsets = [f"{token * self._token_s:.2f}s" for token in range(self.n_tokens_)]
        prefixes = {
            "mean": ["megxl"],
            "sensor": list(self.sensors_.names),
            "time": onsets,
            "none": [f"{name}_{onset}" for name in self.sensors_.names for onset in onsets],
        }[self.pooling]
        return np.array([f"{prefix}_{number}" for prefix in prefixes for number in range(self._width)], dtype=object)

    def _settled(self, X: Any) -> tuple[ExtractionSettings, MEGXL, Trials]:
        """Check the parameters, find the model and look at the trials."""
        for name, allowed in (("pooling", get_args(Pooling)), ("bads", ("mask", "keep"))):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r} is not known: choose one of {', '.join(allowed)}.")
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise InputError(f"batch_size={self.batch_size!r}; allowed: a whole number of trials, at least 1.")
        settings = ExtractionSettings(
            channels=self.channels, bads=self.bads, reference=self.reference, layer=self.layer
        )
        model = find_model(self.model, self.tokenizer, self.compat)
        check_model(model, settings)
        if self.device is not None:
            model.to(self.device)
        return settings, model, open_trials(X, self.sensors, self.sfreq_hz, self.channels)

    def _refuse_others(self, model: MEGXL, trials: Trials) -> None:
        """Refuse what would give the columns another meaning than that of `fit`."""
        if model.provenance.get("sha256") != self._weights_sha256:
            raise InputError("The weights are not those that fit has seen: fit again.")
        tokens = check_model(model, ExtractionSettings()).tokens(_samples(model, trials))
        if self.pooling in ("time", "none") and tokens != self.n_tokens_:
            raise InputError(
                f"Trials of {tokens} tokens, but fit has seen {self.n_tokens_}: with pooling={self.pooling!r} all need "
                "one length."
            )
        if self.pooling in ("sensor", "none") and trials.sensors.names != self.sensors_.names:
            raise InputError(
                f"The {len(trials.sensors)} sensors (first: {trials.sensors.names[0]!r}) are not the "
                f"{len(self.sensors_)} that fit has seen, in their order (first: {self.sensors_.names[0]!r}): with "
                f"pooling={self.pooling!r} columns belong to sensors. Choose the same, or pooling='mean'."
            )

    def _pooled(self, features_BCTD: Tensor, good: int) -> Tensor:
        """Features (B, F); bad sensors are 0 in sums and do not count."""
        if self.pooling == "mean":
            return features_BCTD.sum(1).mean(1) / good
        if self.pooling == "time":
            return (features_BCTD.sum(1) / good).flatten(1)
        return (features_BCTD.mean(2) if self.pooling == "sensor" else features_BCTD).flatten(1)

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: packed(value) for name, value in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({name: unpacked(value) for name, value in state.items()})

    def __sklearn_clone__(self) -> "MEGXLFeatures":
        # nothing changes the weights: copies share them, where scikit-learn would copy hundreds of megabytes a fold
        twin = type(self)(**self.get_params(deep=False))
        if hasattr(self, "_sklearn_output_config"):
            twin._sklearn_output_config = dict(self._sklearn_output_config)
        return twin

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _samples(model: MEGXL, trials: Trials) -> int:
    """Samples of a trial as the model sees it; less than a token is refused."""
    samples, least = trials.samples_at(model.config.sfreq_hz), model.config.samples_per_token
    if samples < least:
        raise InputError(
            f"Trials of {trials.shape[2] / trials.sfreq_hz:g} s are shorter than one token "
            f"({least / model.config.sfreq_hz:g} s): cut longer ones."
        )
    return samples
