"""Stretches of a recording that MNE filters by themselves, because marks lie between them."""

import mne


def skips(raw: mne.io.BaseRaw) -> list[tuple[float, float]]:
    """Return onset and duration, in seconds from the first sample, of the marks that MNE filters around."""
    marks = raw.annotations
    return [
        (float(onset_s), float(duration_s))
        for onset_s, duration_s, text in zip(
            marks.onset - raw.first_time, marks.duration, marks.description, strict=True
        )
        if str(text).lower().startswith(("edge", "bad_acq_skip"))
    ]


def shortest_stretch_s(raw: mne.io.BaseRaw) -> float:
    """Return the length of the shortest stretch that is filtered by itself."""
    sfreq_hz = raw.info["sfreq"]
    whole_s = raw.n_times / sfreq_hz
    lengths_s, since_s = [], 0.0
    for onset_s, duration_s in skips(raw):
        lengths_s.append(onset_s - since_s)
        since_s = max(since_s, onset_s + duration_s)
    stretches_s = [length_s for length_s in (*lengths_s, whole_s - since_s) if length_s > 0.5 / sfreq_hz]
    return min(stretches_s, default=whole_s)
