"""A simulated recording as a KIT file: the header of a template, samples of our own.

Letters: C sensors, R rows of the file, T samples.
"""

import struct
from pathlib import Path
from typing import Any

import numpy as np

from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.template import open_template, sensor_rows
from megxl.errors import InputError

_ENTRY = "<Iiii"
"""An entry of the table of contents at the file's begin: offset, bytes of a thing, how many at most, how many."""
_SYSTEM, _PATIENT, _ACQUISITION, _SAMPLES = 1, 2, 8, 9
_COMMENT_AND_DATES_AT, _COMMENT_AND_DATES_BYTES = 272, 264
"""Within the section that describes the system."""
_COUNTS_AT = 12
"""Within the section of the acquisition: samples that were wanted, samples that there are."""


def write_kit(path: Path, raw: SimulatedRaw) -> None:
    """Write a continuous recording; references and other channels are zero.

    The values are those of the simulation to half a step of the file's whole numbers. The template's own samples, its
    comment, dates and what it says of the person are left out.

    Raises
    ------
    InputError
        The signal is larger than the file's whole numbers can be, or longer than they can be counted.
    """
    template = raw.simulator.system.template
    assert template is not None  # formats that need one are not written without
    source = open_template(template)
    facts, rows_C = source._raw_extras[0], sensor_rows(source)
    step_C1 = facts["conv_factor"][rows_C]
    header = _header(template, facts, raw.n_times)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header)
        for signal_CT in raw.blocks():
            steps_CT = np.rint(signal_CT / step_C1)
            _refuse_too_large(steps_CT, facts["dtype"], raw.simulator.recipe.snr)
            steps_TR = np.zeros((signal_CT.shape[1], facts["nchan"]), facts["dtype"])
            steps_TR[:, rows_C] = steps_CT.T
            file.write(steps_TR.tobytes())


def _header(template: Path, facts: dict[str, Any], n_samples: int) -> bytes:
    """All sections of the template but its samples, which come last in what is written."""
    numbers = n_samples * int(facts["nchan"])
    if numbers >= 2**31:
        raise InputError(
            f"{n_samples / facts['sfreq'] / 60:.0f} minutes are too long for a KIT file of {facts['nchan']} channels; "
            "simulate more and shorter recordings."
        )
    places, width = [int(entry["offset"]) for entry in facts["dirs"]], facts["dtype"].itemsize
    begin = places[_SAMPLES]
    end = begin + int(facts["n_samples"]) * int(facts["nchan"]) * width
    with template.open("rb") as file:
        header = bytearray(file.read(begin))
        file.seek(end)
        header += file.read()
    patient = facts["dirs"][_PATIENT]
    for place, length in (
        (places[_SYSTEM] + _COMMENT_AND_DATES_AT, _COMMENT_AND_DATES_BYTES),
        (places[_PATIENT], int(patient["size"]) * int(patient["count"])),
    ):
        header[place : place + length] = bytes(length)
    struct.pack_into("<2i", header, places[_ACQUISITION] + _COUNTS_AT, n_samples, n_samples)
    for number, place in enumerate(places):
        if place >= end:  # sections behind the samples move up into their place
            struct.pack_into("<I", header, number * struct.calcsize(_ENTRY), place - (end - begin))
    struct.pack_into(_ENTRY, header, _SAMPLES * struct.calcsize(_ENTRY), len(header), width, numbers, numbers)
    return bytes(header)


def _refuse_too_large(steps_CT: np.ndarray, dtype: np.dtype, snr: float) -> None:
    most = np.iinfo(dtype).max
    if np.abs(steps_CT).max() > most:
        raise InputError(
            f"snr = {snr:g} makes a signal that is larger than the {8 * dtype.itemsize}-bit numbers of the template "
            "can hold; choose a smaller one, or a template of another system."
        )
