"""What a channel measures, told by its coil: the FIFF numbers of kinds, units and coils, and what they mean here."""

from collections.abc import Mapping
from typing import Any

GRADIOMETER, MAGNETOMETER, ELECTRODE = 0, 1, 2

# the FIFF numbers of channel kinds and units that matter here
MEG_CHANNEL, EEG_CHANNEL = 1, 2
TESLA, TESLA_PER_METRE = 112, 201
# and of the frames in which positions are told
DEVICE_FRAME, HEAD_FRAME = 1, 4

PLANAR_GRADIOMETER_COILS = frozenset(
    {
        2,  # NM_122
        3011,  # VV_PLANAR_W
        3012,  # VV_PLANAR_T1
        3013,  # VV_PLANAR_T2
        3014,  # VV_PLANAR_T3
        3015,  # VV_PLANAR_T4
    }
)
AXIAL_GRADIOMETER_COILS = frozenset(
    {
        2001,  # AXIAL_GRAD_5CM
        4002,  # MAGNES_GRAD
        5001,  # CTF_GRAD
        6001,  # KIT_GRAD
        7001,  # BABY_GRAD
        7501,  # ARTEMIS123_GRAD
        9001,  # KRISS_GRAD
        9101,  # COMPUMEDICS_ADULT_GRAD
        9102,  # COMPUMEDICS_PEDIATRIC_GRAD
    }
)
MAGNETOMETER_COILS = frozenset(
    {
        2000,  # POINT_MAGNETOMETER
        3021,  # VV_MAG_W
        3022,  # VV_MAG_T1
        3023,  # VV_MAG_T2
        3024,  # VV_MAG_T3
        3025,  # VV_MAG_T4
        4001,  # MAGNES_MAG
        7002,  # BABY_MAG
        8001,  # QUSPIN_ZFOPM_MAG
        8002,  # QUSPIN_ZFOPM_MAG2
        8101,  # FIELDLINE_OPM_MAG_GEN1
        8201,  # KERNEL_OPM_MAG_GEN1
    }
)


def sensor_kind(channel: Mapping[str, Any]) -> int | None:
    """Say what one channel of ``info["chs"]`` is: 0 gradiometer, 1 magnetometer, 2 electrode, None for all others.

    By the coil, not by the unit: axial gradiometers (CTF, KIT) are recorded in tesla like magnetometers.
    Reference sensors are None.
    """
    if channel["kind"] == EEG_CHANNEL:
        return ELECTRODE
    if channel["kind"] != MEG_CHANNEL:
        return None
    coil = coil_number(channel)
    if coil in PLANAR_GRADIOMETER_COILS or coil in AXIAL_GRADIOMETER_COILS:
        return GRADIOMETER
    if coil in MAGNETOMETER_COILS:
        return MAGNETOMETER
    # an instrument that is not in the tables: only gradiometers are ever given in T/m
    return GRADIOMETER if channel["unit"] == TESLA_PER_METRE else MAGNETOMETER


def coil_number(channel: Mapping[str, Any]) -> int:
    """Return the number of a channel's coil, as it stands in the tables."""
    # CTF's order of software gradient compensation stands in the bits above
    return int(channel["coil_type"]) & 0xFFFF
