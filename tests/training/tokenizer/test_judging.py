"""Judging tokenizers: what is known beforehand comes out, on the same rows, with what is left out counted.

Letters: N rows, T samples, C sensors.
"""

import json

import numpy as np
import pytest
import torch

from megxl.errors import InputError
from megxl.signals.normalization import scale_blocks
from megxl.sizes import BioCodecConfig
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.tokenizer.judged import Judged, TokenizerScores
from megxl.training.tokenizer.judged_windows import JudgedWindows
from megxl.training.tokenizer.judging import judge
from tests.training.small_run import CODEC, small_codec
from tests.training.tokenizer.judged_codecs import Deaf, Inverted, Oracle, recordings


def judged(stored, codec: BioCodec, **choice) -> tuple[Judged, TokenizerScores]:
    found = judge({"it": codec}, JudgedWindows(stored, **{"window_s": 6.0} | choice))
    return found, found.tokenizers["it"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("store"))


def signal(stored, number: int, start: int, stop: int) -> np.ndarray:
    """What a codec is given, by the way that training takes."""
    return scale_blocks(torch.tensor(stored[number].read(start, stop))[None])[0].numpy()


def test_who_gives_back_everything_is_perfect_and_its_shuffled_codes_are_not(stored):
    found, scores = judged(stored, Oracle())
    assert found.windows.rows == 16 and found.windows.flat_rows == 0
    assert scores.r.mean == pytest.approx(1.0, abs=1e-7) and scores.r.p5 == pytest.approx(1.0, abs=1e-7)
    assert scores.variance_explained.mean == pytest.approx(1.0, abs=1e-7)
    assert scores.si_sdr_db.mean > 70 and all(band.mean < -50 for band in scores.bands.values())
    assert abs(scores.controls["shuffled"].r.mean) < 0.1
    assert scores.controls["shuffled"].variance_explained.mean == pytest.approx(-1.0, abs=0.2)


def test_who_inverts_has_a_correlation_of_minus_one_and_three_times_the_variance_too_much(stored):
    _, scores = judged(stored, Inverted())
    assert scores.r.mean == pytest.approx(-1.0, abs=1e-7)
    # the error is twice the signal: 1 - 4, where the medians of the blocks are the means
    assert scores.variance_explained.mean == pytest.approx(-3.0, abs=0.05)
    assert scores.bands["delta"].mean == pytest.approx(20 * np.log10(2), abs=1e-3)


def test_who_gives_back_noise_explains_nothing(stored):
    _, scores = judged(stored, Deaf())
    assert abs(scores.r.mean) < 0.05 and scores.r.low < 0 < scores.r.high
    assert scores.variance_explained.mean < 0


def test_levels_are_decoded_from_the_first_ones_alone(stored):
    _, scores = judged(stored, Oracle(), number=2)
    expected = []
    for number, start in ((0, 0), (1, 300)):
        for row_T in signal(stored, number, start, start + 300).astype(np.float64):
            steps_T = np.floor((row_T / np.sqrt(np.mean(row_T**2)) * 2**13 + 2**19).round() / 1024)
            expected.append(np.corrcoef(steps_T, row_T)[0, 1])
    assert scores.levels[0].r.mean == pytest.approx(np.mean(expected), abs=1e-7)
    assert scores.levels[0].r.mean < scores.levels[1].r.mean == scores.r.mean


def test_numbers_of_a_codec_are_those_of_plain_formulas_and_maps_are_of_the_right_sensors(stored):
    codec = small_codec()
    _, scores = judged(stored, codec, sensors=3)
    expected: dict[int, list[tuple[float, float]]] = {place: [] for place in range(4)}
    windows = JudgedWindows(stored, window_s=6.0, sensors=3)
    counts_QV = np.zeros((3, 16), int)
    for rows, (_, chosen_N), key in zip(windows, windows.rows, windows.keys, strict=True):
        start = round(50 * rows.start_s)
        whole_CT = signal(stored, int(key[-1]), start, start + 300)
        for place in chosen_N:
            x_N1T = torch.tensor(whole_CT[place])[None, None]
            with torch.no_grad():
                y_T = codec(x_N1T).signal_N1T[0, 0].double().numpy()
                codes_QT = codec.encode(x_N1T)[0][0].numpy()
            x_T = whole_CT[place].astype(np.float64)
            expected[place].append((np.corrcoef(x_T, y_T)[0, 1], np.mean((x_T - y_T) ** 2) / np.var(x_T)))
            for level, codes_T in enumerate(codes_QT):
                np.add.at(counts_QV[level], codes_T, 1)
    assert scores.sensors[0].rows_C.tolist() == [len(expected[place]) for place in range(4)]
    for place, found in expected.items():
        assert scores.sensors[0].r_C[place] == pytest.approx(np.mean([r for r, _ in found]), abs=1e-6)
        assert scores.sensors[0].error_C[place] == pytest.approx(np.mean([error for _, error in found]), rel=1e-5)
    every = [r for found in expected.values() for r, _ in found]
    assert scores.r.mean == pytest.approx(np.mean(every), abs=1e-6)
    assert scores.r.median == pytest.approx(np.median(every), abs=1e-6)
    np.testing.assert_array_equal([level.counts for level in scores.levels], counts_QV)
    shares = counts_QV[1] / counts_QV[1].sum()
    assert scores.levels[1].entropy_bits == pytest.approx(-sum(p * np.log2(p) for p in shares if p))
    matches = [sum((count / 300) ** 2 for count in counts_V) for counts_V in counts_QV]
    assert scores.kept_by_chance == pytest.approx(np.mean(matches))
    assert scores.tokens == 12 * 25 and scores.bits_per_second["nominal"] == pytest.approx(3 * 4 * 50 / 12)


def test_intervals_are_over_recordings_and_with_two_they_reach_from_one_to_the_other(stored):
    found, scores = judged(stored, small_codec())
    each = [judged([one], small_codec()) for one in stored]
    assert found.windows.intervals_over == "recordings"
    assert {facts.windows.intervals_over for facts, _ in each} == {"windows"}
    means = sorted(one.r.mean for _, one in each)
    assert (scores.r.low, scores.r.high) == pytest.approx(means, abs=1e-9)


def test_one_window_has_no_interval(stored):
    found, scores = judged(stored, small_codec(), number=1)
    assert found.windows.intervals_over is None and scores.r.low is None and scores.r.mean is not None
    assert "There is one window: no interval can be given." in found.windows.notes


def test_flat_sensors_are_left_out_and_counted(stored, tmp_path):
    flat, with_flat = judged(recordings(tmp_path, sensors=5, flat=(4,)), small_codec())
    assert (flat.windows.rows, flat.windows.flat_rows) == (20, 4)
    assert "4 of 20 rows are flat (they do not vary) and left out of all numbers." in flat.windows.notes
    _, without = judged(stored, small_codec())
    # the same noise in the four others
    assert with_flat.r.mean == pytest.approx(without.r.mean, abs=1e-9) and with_flat.tokens == without.tokens
    # nothing can be added to them in proportion: their codes all stay, which is no merit
    assert with_flat.robustness[2].kept.mean == pytest.approx(without.robustness[2].kept.mean, abs=0.04)
    assert np.isnan(with_flat.sensors[0].r_C[4]) and flat.to_dict()["tokenizers"]["it"]["sensors"][0]["r_C"][4] is None


def test_bad_sensors_are_left_out_and_counted(tmp_path):
    found, scores = judged(recordings(tmp_path, bads=(1,)), small_codec())
    assert (found.windows.rows, found.windows.bad_sensors) == (12, 4)
    assert scores.sensors[0].rows_C.tolist() == [4, 0, 4, 4]


def test_a_recording_of_bad_sensors_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="All 4 sensors of armeni/sub-0 are marked bad"):
        JudgedWindows(recordings(tmp_path, bads=(0, 1, 2, 3)), window_s=6.0)


def test_the_same_seed_gives_the_same_numbers_and_another_one_other_sensors(stored):
    def told(seed: int) -> dict:
        windows = JudgedWindows(stored, window_s=6.0, number=3, sensors=2, seed=seed)
        return judge({"it": small_codec()}, windows, seed=seed).to_dict()

    first = told(0)
    torch.manual_seed(5)
    assert told(0) == first != told(1)
    assert json.loads(json.dumps(first, allow_nan=False)) == first


def test_sensors_take_turns_so_that_few_windows_show_all(stored):
    windows = JudgedWindows(stored, window_s=6.0, number=2, sensors=2)
    assert sorted(place for _, sensors_N in windows.rows for place in sensors_N) == [0, 1, 2, 3]
    assert windows.keys == ["armeni/sub-0", "armeni/sub-1"]


def test_tokenizers_of_other_sizes_are_compared_on_the_same_rows(stored):
    windows = JudgedWindows(stored, window_s=6.0, number=4, sensors=2)
    longer = BioCodec(BioCodecConfig(filters=4, width=16, code_width=4, levels=2, codes=32, strides=(4, 5))).eval()
    both = judge({"short": small_codec(), "long": longer}, windows)
    alone = {name: judge({name: codec}, windows) for name, codec in (("short", small_codec()), ("long", longer))}
    for name, found in alone.items():
        assert both.tokenizers[name].r == found.tokenizers[name].r
        assert both.tokenizers[name].controls["random"] == found.tokenizers[name].controls["random"]
    short, long = both.tokenizers["short"], both.tokenizers["long"]
    assert (short.tokens, long.tokens) == (8 * 25, 8 * 15)
    assert short.r_beside_first is None
    assert long.r_beside_first.mean == pytest.approx(long.r.mean - short.r.mean)


def test_random_weights_are_those_of_a_new_codec_of_the_same_sizes(stored):
    _, scores = judged(stored, small_codec(), number=1)
    torch.manual_seed(0)
    _, new = judged(stored, BioCodec(CODEC).eval(), number=1)
    assert scores.controls["random"].r.mean == new.r.mean != scores.r.mean
    assert scores.controls["random"].variance_explained.mean == new.variance_explained.mean


def test_progress_reaches_its_end(stored):
    steps = []
    windows = JudgedWindows(stored, window_s=6.0, number=2)
    judge({"a": small_codec(), "b": small_codec(1)}, windows, advance=lambda *step: steps.append(step))
    # two tokenizers and random weights of their one size, on two windows
    assert steps == [(n, 6) for n in range(1, 7)]


def test_what_cannot_be_compared_is_refused(stored):
    windows = JudgedWindows(stored, window_s=0.2)
    with pytest.raises(InputError, match=r"it: a token has 12 samples, and windows of 0\.2 s have 10"):
        judge({"it": small_codec()}, windows)
    with pytest.raises(InputError, match="No tokenizer"):
        judge({}, windows)
    for what in ("number", "sensors"):
        with pytest.raises(InputError, match="At least one"):
            JudgedWindows(stored, window_s=6.0, **{what: 0})


def test_a_whole_window_can_be_one_block(stored):
    rows = next(iter(JudgedWindows(stored, window_s=6.0, block_s=None, clip=2.0)))
    raw_NT = stored[0].read(0, 300)[rows.sensors_N].astype(np.float64)
    low_N1, middle_N1, high_N1 = np.quantile(raw_NT, (0.25, 0.5, 0.75), axis=1, keepdims=True)
    expected_NT = np.clip((raw_NT - middle_N1) / (high_N1 - low_N1), -2, 2)
    np.testing.assert_allclose(rows.signal_NT.numpy(), expected_NT, atol=1e-5)


def test_what_a_tokenizer_was_trained_on_is_said(stored):
    codec = small_codec()
    codec.provenance = {
        "weights": "loaded",
        "steps": 9000,
        "recordings": {"armeni": {"train": ["armeni/sub-1", "armeni/sub-7"], "validation": ["armeni/sub-0"]}},
    }
    codec.recipe = {"signal": {"sfreq_hz": 256.0, "block_s": None, "clip": 5.0}}
    notes = judged(stored, codec)[1].notes
    assert notes[:2] == (
        "It was trained on another signal: sfreq_hz 256 (here 50), block_s none (here 3).",
        "It was trained on 1 of the 2 recordings (first: armeni/sub-1): for those its numbers are not held out.",
    )
    assert "does not say" not in " ".join(notes)
    plain = judged(stored, small_codec())[1].notes
    assert plain[0].startswith("RANDOM WEIGHTS") and "does not say which recordings" in plain[2]


def test_few_tokens_are_said(stored):
    assert "400 tokens are few" not in " ".join(judged(stored, small_codec())[1].notes)
    assert "200 tokens are few for 16 codes" in judged(stored, small_codec(), number=2)[1].notes[-1]
