"""Options of corpora about sensors: which to take, which to leave out, and where electrodes are if no file says it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from megxl.errors import InputError
from megxl.signals.coils import ELECTRODE, sensor_kind

if TYPE_CHECKING:
    import mne

SENSORS = ("auto", "meg", "mag", "grad", "eeg", "meg+eeg")
"""Which sensors can be asked for, as `megxl.signals.reading.choose_channels` knows them."""


def check_sensors(sensors: str | None) -> None:
    """Refuse a choice of sensors that there is not."""
    if sensors is not None and sensors not in SENSORS:
        raise InputError(f"sensors = {sensors!r}; allowed: {', '.join(SENSORS)}.")


def chosen_sensors(raw: "mne.io.BaseRaw", sensors: str | None, exclude: Sequence[str]) -> list[str]:
    """Name the sensors to use, less those to be left out; a name that a recording does not have excludes nothing."""
    from megxl.signals.reading import choose_channels

    return choose_channels(raw, sensors or "auto", [name for name in exclude if name in raw.ch_names])


def montage_file(montage: str | None) -> Path | None:
    """Return the file of a montage; None: there is none, or it is one that MNE knows by name."""
    return Path(montage) if montage and Path(montage).is_file() else None


def place_by_template(raw: "mne.io.BaseRaw", montage: str | None, recording: str) -> list[str]:
    """Place electrodes by a montage where not a single one has a position: measured ones are never mixed with others.

    Returns
    -------
    list of str
        What a person should know of it, one sentence each.
    """
    from megxl.signals.montage import place_electrodes, without_position

    electrodes = [channel["ch_name"] for channel in raw.info["chs"] if sensor_kind(channel) == ELECTRODE]
    if montage is None or not electrodes:
        return []
    if len(without_position(raw.info)) < len(electrodes):
        return [f"The montage {Path(montage).name} was not used: the data set gives positions of electrodes."]
    return place_electrodes(raw, montage, recording)
