"""Kinds of sensors that a model tells apart, where its configuration leaves it to the recordings."""

from collections.abc import Sequence

from megxl.signals.coils import ELECTRODE
from megxl.training.lacking import at
from megxl.training.recordings import Chosen

COILS, COILS_AND_ELECTRODES = 2, 3


def sensor_kinds(chosen: Sequence[Chosen]) -> int:
    """Return 3 where recordings hold electrodes, else 2: gradiometers and magnetometers.

    The first recording of each corpus speaks for all; of one that is still to be prepared the header is read.

    Raises
    ------
    InputError
        A recording that cannot be opened, or has none of the sensors that were asked for.
    """
    return COILS_AND_ELECTRODES if any(map(_has_electrodes, chosen)) else COILS


def _has_electrodes(corpus: Chosen) -> bool:
    first = next(iter(corpus.keys), None)
    for recording in corpus.stored:
        if recording.key == first:
            return bool((recording.sensors.kinds_C == ELECTRODE).any())
    if first is None or corpus.request is None:
        return False
    from megxl.signals.reading import has_electrodes

    job = next(job for job in corpus.request.jobs() if job.key == first)
    with at(f"{corpus.place} ({first})"):
        raw = job.corpus.read(job.file)
        return has_electrodes(raw, job.corpus.channels(raw))
