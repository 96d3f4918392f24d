"""What the page of the demonstration tells of: where its runs lie, what was simulated, what each step took."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megxl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Journey:
    """Finished runs of one demonstration, all on the same simulated listener.

    Raises
    ------
    InputError
        The main signal-to-noise ratio, or zero, is not among `by_snr`.
    """

    folder: Path
    """Where ``report.html`` goes."""
    store: Path
    """Prepared recordings at the main signal-to-noise ratio."""
    shown: str
    """Key of a recording of the test, in no training: its signal, codes and words are shown."""
    corpus_facts: Mapping[str, Any]
    """What was simulated, name by name, as the page lists it."""
    codec: Path
    pretrained: Path
    fine_tuned: Path
    """Decoder from the pre-trained model; with `scratch` and `noise` on one split, so that all three compare."""
    scratch: Path
    """Decoder of the same shape from random weights."""
    noise: Path
    """Decoder that was given noise in place of the signal."""
    main_snr: float
    """Power of the answer to words over that of the background, at the main decoders."""
    by_snr: Mapping[float, Path]
    """Fine-tuned decoders by signal-to-noise ratio, the main one and zero among them."""
    seconds: Mapping[str, float]
    """What each step took, in order."""
    peak_bytes: int | None
    """Most memory that the demonstration held, where that is known."""
    own: Path | None
    """Page of the user's own recording, if one was embedded."""

    def __post_init__(self) -> None:
        for needed, what in ((self.main_snr, "the main one"), (0.0, "nothing to find")):
            if needed not in self.by_snr:
                raise InputError(
                    f"by_snr = {sorted(self.by_snr)}: a decoder at the signal-to-noise ratio {needed:g} ({what}) is "
                    "missing. The page shows accuracy at several ratios, these two among them."
                )
