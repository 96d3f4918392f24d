"""A simulated recording as a CTF folder: the header of a template, samples of our own.

Letters: C sensors, R rows of the file, T samples.
"""

import shutil
import struct
from pathlib import Path

import numpy as np

from megxl.corpora.simulation.recording import SimulatedRaw
from megxl.corpora.simulation.template import CLOCK, open_template, sensor_rows

_SAMPLES_BEGIN = b"MEG41CP\x00"
PART_BYTES = 2**31 - 1
"""No file of samples is larger; a longer recording goes on in the next."""

# where the header has what: big-endian numbers, texts of fixed length
_AVERAGES_AT, _TRIAL_SAMPLES_AT, _TRIAL_SECONDS_AT, _TRIALS_AT, _BEFORE_TRIGGER_AT = 776, 1288, 1304, 1312, 1316
_DESCRIPTION, _TIME_AND_DATE, _RUN, _PEOPLE = slice(520, 776), slice(778, 1288), slice(1360, 1648), slice(1712, 1776)
_TEXT_LENGTH_AT, _TEXT_AT = 1836, 1844


def write_ctf(folder: Path, raw: SimulatedRaw) -> None:
    """Write a recording of trials of one block, without gaps between them; references and other channels are zero.

    The values are those of the simulation to half a step of the file's whole numbers. Whatever the template says of
    the person and the day is left out, and so are the marks of bad sensors and times.
    """
    template = raw.simulator.system.template
    assert template is not None  # formats that need one are not written without
    source = open_template(template)
    cal_R = np.array([channel["cal"] * channel["range"] for channel in source.info["chs"]])
    n_trials = -(-raw.n_times // raw.simulator.block_samples)
    folder.mkdir(parents=True)
    header = (template / f"{template.stem}.res4").read_bytes()
    (folder / f"{folder.stem}.res4").write_bytes(_header(header, raw, n_trials))
    coils = template / f"{template.stem}.hc"
    if coils.is_file():  # where the head was, which decides the frame of the sensors
        shutil.copyfile(coils, folder / f"{folder.stem}.hc")
    trial_bytes = 4 * len(cal_R) * raw.simulator.block_samples
    _write_trials(folder, raw, cal_R, sensor_rows(source), source.ch_names.index(CLOCK), PART_BYTES // trial_bytes)


def _header(template: bytes, raw: SimulatedRaw, n_trials: int) -> bytes:
    """Say how many samples there are, and nothing of who was measured."""
    header = bytearray(template)
    size, sfreq_hz = raw.simulator.block_samples, raw.simulator.recipe.sfreq_hz
    (text_length,) = struct.unpack_from(">i", header, _TEXT_LENGTH_AT)
    for place in (_DESCRIPTION, _TIME_AND_DATE, _RUN, _PEOPLE, slice(_TEXT_AT, _TEXT_AT + text_length)):
        header[place] = bytes(place.stop - place.start)
    struct.pack_into(">h", header, _AVERAGES_AT, 0)
    struct.pack_into(">i", header, _TRIAL_SAMPLES_AT, size)
    struct.pack_into(">d", header, _TRIAL_SECONDS_AT, size / sfreq_hz)
    struct.pack_into(">h", header, _TRIALS_AT, n_trials)
    struct.pack_into(">i", header, _BEFORE_TRIGGER_AT, 0)
    return bytes(header)


def _write_trials(
    folder: Path, raw: SimulatedRaw, cal_R: np.ndarray, rows_C: list[int], clock: int, trials_a_part: int
) -> None:
    """Write block after block; the last trial is filled up with zeros, of the clock too: there the recording ends."""
    size, start = raw.simulator.block_samples, 0
    for trial, signal_CT in enumerate(raw.blocks()):
        part, first = divmod(trial, trials_a_part)
        path = folder / f"{folder.stem}.{f'{part}_' if part else ''}meg4"
        stop = start + signal_CT.shape[1]
        steps_RT = np.zeros((len(cal_R), size), dtype=">i4")
        steps_RT[rows_C, : stop - start] = np.rint(signal_CT / cal_R[rows_C, None])
        seconds_T = np.arange(start + 1, stop + 1) / raw.simulator.recipe.sfreq_hz
        steps_RT[clock, : stop - start] = np.rint(seconds_T / cal_R[clock])
        with path.open("ab" if first else "wb") as file:
            if not first:
                file.write(_SAMPLES_BEGIN)
            file.write(steps_RT.tobytes())
        start = stop
