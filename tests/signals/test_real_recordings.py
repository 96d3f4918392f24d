"""Every real recording at hand goes the whole way: opened, chosen, prepared, placed, scaled."""

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.signals.preparation import prepare
from megxl.signals.reading import choose_channels, open_recording
from megxl.signals.sensors import SensorArray

# file, channels, number of gradiometers, magnetometers, electrodes, samples at 50 Hz
RECORDINGS = [
    ("meg_neuromag306/test_raw.fif", "auto", (204, 102, 0), 1199),
    ("meg_neuromag306/test_raw.fif", "eeg", (0, 0, 60), 1199),
    ("meg_neuromag306/test_move_anon_erm_raw.fif", "auto", (204, 102, 0), 50),
    ("meg_neuromag306/141027_cropped_90Hz_raw.fif", "auto", (204, 102, 0), 500),
    ("meg_neuromag306/triux_bmlhus_erm_raw_sss.fif", "auto", (204, 102, 0), 50),
    ("meg_neuromag306/test_elekta_3ch_raw.fif", "auto", (2, 1, 0), 4000),
    ("meg_ctf/testdata_ctf_short_discontinuous.ds", "auto", (273, 0, 0), 100),
    ("meg_ctf/somMDYO-18av.ds", "auto", (151, 0, 0), 25),
    ("meg_ctf/test_ctf_raw.fif", "auto", (275, 0, 0), 150),
    ("meg_ctf/test_ctf_comp_raw.fif", "auto", (274, 0, 0), 25),
    ("meg_kit/test.sqd", "auto", (157, 0, 0), 100),
    ("meg_kit/test_old_5s_kit157.sqd", "auto", (157, 0, 0), 250),
    ("meg_kit/Example_RICOH160-1_10020-export_anonymyze.con", "auto", (160, 0, 0), 50),
    ("meg_kit/010409_Motor_task_coregist-export_tiny_1s.con", "auto", (151, 0, 0), 50),
    ("meg_kit/MQKIT_125_2sec.con", "auto", (125, 0, 0), 100),
    ("meg_other/exported4D_solaris_raw.fif", "auto", (0, 248, 0), 50),
]


def check(prepared, kinds, samples):
    assert prepared.signal_CT.shape == (sum(kinds), samples)
    assert tuple(np.bincount(prepared.sensors.kinds_C, minlength=3)) == kinds
    positions_C3 = prepared.sensors.normalized_positions()
    assert np.mean(np.sum(positions_C3**2, axis=1)) == pytest.approx(1 / 3)
    norms_C = np.linalg.norm(prepared.sensors.orientations_C3, axis=1)
    np.testing.assert_allclose(norms_C, np.where(prepared.sensors.kinds_C == 2, 0, 1), atol=1e-3)
    scaled_CT = scale_blocks(torch.from_numpy(prepared.signal_CT)[None])[0]
    assert scaled_CT.isfinite().all()
    alive_C = scaled_CT.std(dim=1) > 0.1
    assert alive_C.sum() >= sum(kinds) - 1  # one of all these sensors is flat


@pytest.mark.parametrize(("file", "channels", "kinds", "samples"), RECORDINGS)
def test_a_real_recording_goes_the_whole_way(shared, file, channels, kinds, samples):
    raw = open_recording(shared / "realdata" / file, allow_maxshield=True)
    check(prepare(raw, choose_channels(raw, channels)), kinds, samples)


def test_eeglab_electrodes_without_positions_need_a_montage(shared, tmp_path):
    path = shared / "realdata" / "eeg" / "test_raw.set"
    raw = open_recording(path)
    with pytest.raises(InputError, match=r"32 of 32 electrodes have no position .*--montage FILE"):
        SensorArray.from_info(raw.info)
    with pytest.raises(InputError, match=r"None of the 32 electrodes .*'EEG 000'.* is in the montage standard_1005"):
        open_recording(path, montage="standard_1005")
    points = np.random.default_rng(0).normal(size=(32, 3)) * 0.05
    rows = [",".join([name, *map(str, point)]) for name, point in zip(raw.ch_names, points, strict=True)]
    (tmp_path / "montage.csv").write_text("\n".join(["ch_name,x,y,z", *rows]))
    raw = open_recording(path, montage=tmp_path / "montage.csv")
    check(prepare(raw, choose_channels(raw)), (0, 0, 32), 11916)
