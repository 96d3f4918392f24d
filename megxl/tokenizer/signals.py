"""What a tokenizer says of the signals that it was trained on, beside those that it is used on."""

from collections.abc import Mapping
from typing import Any

SIGNAL = "signal"
"""Key of a codec's recipe: {sfreq_hz, low_hz, high_hz, block_s, clip, segment_s}. The released codec has none."""


def rate_note(recipe: Mapping[str, Any], sfreq_hz: float) -> str | None:
    """One sentence where a tokenizer was trained at another rate than it is used at; None where it does not say.

    Parameters
    ----------
    recipe : mapping
        `BioCodec.recipe`.
    sfreq_hz : float
        Of the signals that it tokenizes now.
    """
    trained_hz = (recipe.get(SIGNAL) or {}).get("sfreq_hz")
    if trained_hz is None or abs(trained_hz - sfreq_hz) <= 1e-6 * sfreq_hz:
        return None
    return (
        f"The tokenizer was trained on signals of {trained_hz:g} Hz and is used on ones of {sfreq_hz:g} Hz; `megxl "
        "evaluate` says how well it reconstructs those."
    )
