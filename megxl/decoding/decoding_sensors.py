"""Which rows a recording's sensors take for a decoder: the places that its head was trained with, by their names."""

from megxl.data.channels import ChannelOrder, sensor_labels
from megxl.data.dataset import Channels
from megxl.decoding.decoder_files import SavedDecoder
from megxl.errors import InputError
from megxl.signals.sensors import SensorArray

FEWEST = 0.5
"""Share of the sensors of its training that a head which is bound to them needs."""
ANY_SENSORS = "A decoder with model.head=sensors takes any sensors."


def sensor_rows(saved: SavedDecoder, sensors: SensorArray, corpus: str) -> tuple[Channels, list[str]]:
    """Choose the rows, and say what is missing.

    Parameters
    ----------
    saved : SavedDecoder
    sensors : SensorArray
        Of the recording.
    corpus : str
        The recording's.

    Returns
    -------
    channels : "file" or mapping of the corpus to its order
        As datasets take them.
    notes : list of str

    Raises
    ------
    InputError
        A head that is bound to its sensors, and a recording that has none or less than half of them.
    """
    bound, order = saved.spec.rows is not None, saved.channels
    if order is None:
        return "file", _on_count(saved, sensors) if bound else []
    labels = sensor_labels(sensors)
    places = set(order.sensors.names)
    known = sum(label in places for label in labels)
    if bound:
        _refuse_few(order, sensors, known)
    elif known < FEWEST * len(order) or known < len(labels):
        return "file", [f"The sensors are not those of the training ({known} of {len(labels)} are): taken as they are."]
    return {corpus: order}, _on_missing(order, labels, known)


def _on_count(saved: SavedDecoder, sensors: SensorArray) -> list[str]:
    """Refuse sensors that cannot be those of a head that takes them in the order of their file."""
    count, rows = len(sensors), saved.spec.rows or 0
    if not FEWEST * rows <= count <= rows:
        raise InputError(
            f"The recording has {count} sensors, but the head {saved.spec.head!r} was made for {rows} in the order of "
            f"their files (data.channels=file). {ANY_SENSORS}"
        )
    return [f"{count} sensors are taken in the order of the file, as in the training; nothing tells if they are its."]


def _refuse_few(order: ChannelOrder, sensors: SensorArray, known: int) -> None:
    if known >= FEWEST * len(order) and known:
        return
    amount = f"Only {known}" if known else "None"
    raise InputError(
        f"{amount} of the {len(order)} sensors that the decoder was trained with (first: {order.sensors.names[0]!r}) "
        f"{'are' if known else 'is'} in the recording, which has {len(sensors)} (first: "
        f"{sensors.names[0]!r}); at least half are needed, of the same system. {ANY_SENSORS}"
    )


def _on_missing(order: ChannelOrder, labels: list[str], known: int) -> list[str]:
    there, notes = set(labels), []
    missing = [name for name in order.sensors.names if name not in there]
    if missing:
        notes.append(
            f"{len(missing)} of the {len(order)} sensors of the training are not in the recording (first: "
            f"{missing[0]}): their places are empty and masked."
        )
    if extra := len(labels) - known:
        notes.append(f"{extra} sensors of the recording were not in the training and are left out.")
    return notes
