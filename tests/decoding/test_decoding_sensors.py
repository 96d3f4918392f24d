"""Whether a recording's sensors are those that a head was trained with, by their names."""

import pytest

from megxl.decoding.decoding_sensors import sensor_rows
from megxl.errors import InputError
from megxl.signals.sensors import SensorArray, neuromag306
from tests.data.small import EVERY_20TH
from tests.decoding.small_decoder import small_decoder

ORDER = neuromag306().select(EVERY_20TH)  # 16 sensors


def labelled(array: SensorArray) -> SensorArray:
    """The same under the names that a canonical order has."""
    return SensorArray(
        names=[name.replace(" ", "") for name in array.names],
        positions_C3=array.positions_C3,
        orientations_C3=array.orientations_C3,
        kinds_C=array.kinds_C,
    )


def test_all_sensors_in_another_order_take_their_places_without_a_word():
    saved = small_decoder(labelled(ORDER))
    channels, notes = sensor_rows(saved, ORDER.select(EVERY_20TH[::-1]), "files")
    assert channels == {"files": saved.channels} and notes == []


def test_missing_and_foreign_sensors_are_counted():
    others = [name for name in neuromag306().names if name not in EVERY_20TH][:3]
    _, notes = sensor_rows(small_decoder(labelled(ORDER)), neuromag306().select([*EVERY_20TH[2:], *others]), "files")
    assert notes[0].startswith(f"2 of the 16 sensors of the training are not in the recording (first: {''.join(EVERY_20TH[0].split())})")  # fmt: skip # noqa: E501
    assert notes[1].startswith("3 sensors of the recording were not in the training")


@pytest.mark.parametrize(("kept", "said"), [(8, None), (7, "Only 7 of the 16 sensors"), (0, "None of the 16 sensors")])
def test_a_flat_head_needs_half_of_its_sensors(kept, said):
    others = [name for name in neuromag306().names if name not in EVERY_20TH][:4]
    sensors = neuromag306().select([*EVERY_20TH[:kept], *others])
    if said is None:
        sensor_rows(small_decoder(labelled(ORDER)), sensors, "files")
        return
    with pytest.raises(InputError, match=f"{said} .* at least half are needed"):
        sensor_rows(small_decoder(labelled(ORDER)), sensors, "files")


def test_a_head_that_attends_takes_other_sensors_as_they_are():
    saved = small_decoder(labelled(ORDER), head="sensors")
    others = neuromag306().select([name for name in neuromag306().names if name not in EVERY_20TH])
    channels, (note,) = sensor_rows(saved, others, "files")
    assert channels == "file" and "(0 of 290 are): taken as they are" in note
    channels, _ = sensor_rows(saved, ORDER.select(EVERY_20TH[1:]), "files")
    assert channels == {"files": saved.channels}


def test_a_flat_head_without_an_order_takes_so_many_sensors_alone():
    saved = small_decoder(labelled(ORDER))
    saved.channels = None
    assert "in the order of the file" in sensor_rows(saved, ORDER, "files")[1][0]
    with pytest.raises(InputError, match="has 306 sensors, but the head 'linear' was made for 16"):
        sensor_rows(saved, neuromag306(), "files")
