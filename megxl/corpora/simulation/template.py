"""Sensors of a real recording, for formats that nothing can write from nothing: only its header is used.

Letters: C sensors.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from megxl.corpora.simulation.arrays import SensorSystem, magnetic_system
from megxl.errors import InputError
from megxl.signals.coils import AXIAL_GRADIOMETER_COILS, coil_number, sensor_kind

if TYPE_CHECKING:
    import mne

WHAT = {"CTF": "a CTF recording (a folder *.ds)", "KIT": "a KIT recording (a file *.con or *.sqd)"}
"""What a person has to give as a template of a format."""
CLOCK = "SCLK01-177"
"""Channel of CTF's system clock; where it is zero, a recording has ended."""
_FEWEST = 30


def template_system(path: Path, kind: str) -> SensorSystem:
    """Make the sensor system of a recording.

    Parameters
    ----------
    path : Path
        The recording.
    kind : {"CTF", "KIT"}
        Format that it must have.

    Returns
    -------
    SensorSystem
        Its gradiometers around a head in the middle of the helmet; references are left out.

    Raises
    ------
    InputError
        It cannot be opened, has another format, other sensors or too few, no clock (CTF).
    """
    from megxl.signals.reading import provenance

    raw = open_template(path)
    found = provenance(raw)["format"]
    if found != kind:
        raise InputError(f"{path.name} is no template here: needed is {WHAT[kind]}; its format is {found}.")
    picks = sensor_rows(raw)
    if len(picks) < _FEWEST:
        raise InputError(
            f"{path.name} has {len(picks)} axial gradiometers; a template needs a helmet of at least {_FEWEST}."
        )
    if kind == "CTF" and CLOCK not in raw.ch_names:
        raise InputError(
            f"{path.name} has no system clock (channel {CLOCK}), which tells where a recording ends: it holds averages "
            "or was edited; take one as it was recorded."
        )
    info = _sensors_alone(raw, picks)
    opened = Path(str(raw.filenames[0]))
    return magnetic_system(info, centre_3=_middle(info), template=opened.parent if kind == "CTF" else opened)


def open_template(path: Path) -> "mne.io.BaseRaw":
    """Open the recording of a template."""
    from megxl.signals.reading import open_recording

    return open_recording(path)


def sensor_rows(raw: "mne.io.BaseRaw") -> list[int]:
    """Say in which rows of the recording the axial gradiometers of the helmet are."""
    channels = enumerate(raw.info["chs"])
    return [
        row for row, one in channels if sensor_kind(one) is not None and coil_number(one) in AXIAL_GRADIOMETER_COILS
    ]


def _sensors_alone(raw: "mne.io.BaseRaw", picks: list[int]) -> "mne.Info":
    """Names and geometry; nothing of who was measured when."""
    import mne

    channels = [raw.info["chs"][row] for row in picks]
    info = mne.create_info([one["ch_name"] for one in channels], raw.info["sfreq"], "mag")
    for entry, one in zip(info["chs"], channels, strict=True):
        entry.update(loc=one["loc"], coil_type=coil_number(one), unit=one["unit"], coord_frame=one["coord_frame"])
    return info


def _middle(info: "mne.Info") -> np.ndarray:
    """Centre of the sphere on which the sensors lie best, by least squares; helmets stand at different heights."""
    places_C3 = np.array([channel["loc"][:3] for channel in info["chs"]])
    equations = np.column_stack([2 * places_C3, np.ones(len(places_C3))])
    return np.linalg.lstsq(equations, (places_C3**2).sum(axis=1), rcond=None)[0][:3]
