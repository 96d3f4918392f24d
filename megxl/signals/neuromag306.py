"""The sensors of a Neuromag VectorView system, from the table beside this file (it names its source)."""

import csv
from importlib import resources
from typing import Any

import numpy as np

from megxl.signals.coils import MEG_CHANNEL, PLANAR_GRADIOMETER_COILS, TESLA, TESLA_PER_METRE


def neuromag306_channels() -> list[dict[str, Any]]:
    """Return the 306 sensors as entries of ``mne.Info["chs"]``: only the fields that describe the sensor."""
    text = resources.files("megxl.signals").joinpath("neuromag306.csv").read_text(encoding="utf-8")
    rows = csv.reader(line for line in text.splitlines() if not line.startswith("#"))
    next(rows)  # the names of the columns
    return [
        {
            "ch_name": name,
            "kind": MEG_CHANNEL,
            "coil_type": int(coil),
            "unit": TESLA_PER_METRE if int(coil) in PLANAR_GRADIOMETER_COILS else TESLA,
            "coord_frame": 1,  # device
            "loc": np.array(loc, dtype=np.float64),
        }
        for name, coil, *loc in rows
    ]
