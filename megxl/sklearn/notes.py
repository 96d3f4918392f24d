"""What a person should know of features that were made of short trials."""

from megxl.extraction.notes import electrode_notes
from megxl.extraction.run import check_model
from megxl.extraction.settings import TRAINED_WINDOW_S, ExtractionSettings
from megxl.model.megxl import MEGXL
from megxl.signals.normalization import BLOCK_S
from megxl.signals.preparation import Preparation
from megxl.sklearn.trials import Trials
from megxl.tokenizer.signals import rate_note


def trial_notes(model: MEGXL, trials: Trials, settings: ExtractionSettings) -> list[str]:
    """One sentence for each deviation from `megxl embed`, and from what the model was trained with."""
    config = model.config
    samples = trials.samples_at(config.sfreq_hz)
    seconds = samples / config.sfreq_hz
    notes = []
    if seconds < TRAINED_WINDOW_S:
        notes.append(
            f"The model sees {seconds:g} s at once, and was trained with {TRAINED_WINDOW_S:g} s: `megxl embed` on the "
            "whole recording, cut into trials afterwards, gives it the context."
        )
    rest_s = seconds % BLOCK_S
    if rest_s > 1e-6:
        notes.append(
            f"Blocks of {BLOCK_S:g} s do not fill the trials: the last {rest_s:g} s of each are centred and scaled by "
            "themselves."
        )
    short = -samples % config.samples_per_token
    if short:
        notes.append(f"The last token of each trial lacks {short} of {config.samples_per_token} samples.")
    if samples != trials.shape[2]:
        notes.append(f"Each trial was resampled by itself from {trials.sfreq_hz:g} to {config.sfreq_hz:g} Hz.")
    low_hz = Preparation().low_hz
    if trials.high_pass_hz is not None and trials.high_pass_hz < low_hz - 0.01:
        notes.append(
            f"The recording was not high-passed at {low_hz:g} Hz, as in training; trials are too short for that: "
            f"raw.filter({low_hz:g}, {Preparation().high_hz:g}) before they are cut."
        )
    tokenizer = check_model(model, settings)
    return [
        *notes,
        *electrode_notes(trials.sensors, config.sensor_kinds),
        *filter(None, [rate_note(tokenizer.recipe, config.sfreq_hz)]),
    ]
