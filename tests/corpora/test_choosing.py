"""Options about sensors that corpora share."""

import mne
import numpy as np

from megxl.corpora.choosing import place_by_template

NAMES = ["Fp1", "Fp2", "Cz", "Pz"]


def test_electrodes_of_which_some_were_measured_are_never_placed_by_a_template():
    raw = mne.io.RawArray(np.zeros((4, 10)), mne.create_info(NAMES, 100.0, "eeg"), verbose="ERROR")
    raw.info["chs"][2]["loc"][:3] = 0.0, 0.0, 0.1
    before = np.array([channel["loc"] for channel in raw.info["chs"]])
    assert place_by_template(raw, "standard_1005", "some.vhdr") == [
        "The montage standard_1005 was not used: the data set gives positions of electrodes."
    ]
    np.testing.assert_array_equal([channel["loc"] for channel in raw.info["chs"]], before)
