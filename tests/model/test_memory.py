"""What a step keeps for its backward pass, and what that pass adds, against counts of whole steps."""

import pytest

from megxl.model.flops import Workload
from megxl.model.memory import backward_bytes, kept_bytes
from megxl.sizes import PRESETS

WORK = Workload(batch=1, sensors=306, samples=7500)
MED = PRESETS["med"]


@pytest.mark.parametrize(("mode", "gigabytes"), [("off", 37.7), ("selective", 18.9), ("full", 3.2)])
def test_what_is_kept_at_full_size_is_the_sum_of_the_tensors_of_a_layer(mode, gigabytes):
    # benchmarks/training.md, counted, without the head for hidden codes (0.5 GB)
    assert sum(kept_bytes(MED, WORK, mode, mixed=True).values()) / 1e9 == pytest.approx(gigabytes, abs=0.1)


def test_recomputing_all_keeps_the_residual_stream_alone():
    rows = 306 * 625
    kept = kept_bytes(MED, WORK, "full", mixed=True)
    assert kept == {"residual into a layer": 8 * rows * 512 * 4, "code vectors": rows * 6 * 16 * 2}


@pytest.mark.parametrize(("mode", "peak"), [("off", 39.6), ("selective", 23.3), ("full", 9.5)])
def test_the_peak_is_what_a_counted_step_reached(mode, peak):
    # benchmarks/training.md, with weights, gradients and moments (0.35 GB); its head for hidden codes comes before
    known = sum(kept_bytes(MED, WORK, mode, mixed=True).values()) + backward_bytes(MED, WORK, mode, mixed=True)
    assert known / 1e9 + 0.35 == pytest.approx(peak, rel=0.06)
