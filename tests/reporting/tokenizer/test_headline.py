"""What the page says of a tokenizer in words and tables: the numbers of judged.json, and praise where it is due."""

import re

import pytest

from megxl.reporting.tokenizer.headline import interval, number, verdict_of, warnings_of
from megxl.reporting.tokenizer.tables import comparison_table, levels_table, windows_html
from megxl.tokenizer.biocodec import BioCodec
from megxl.training.runs import Run
from megxl.training.tokenizer.config import TokenizerConfig
from tests.reporting.tokenizer.small_run import scores
from tests.training.small_run import CODEC
from tests.training.tokenizer.small_codecs import codec_config


@pytest.fixture
def run(tmp_path) -> Run[TokenizerConfig]:
    return Run.create(codec_config(tmp_path), environment={})


def rows_of(table: str) -> dict[str, list[str]]:
    rows = {row.partition("</th>")[0].rpartition(">")[2]: row for row in table.split("<tr")[2:]}
    return {name: re.findall(r"<td[^>]*>([^<]*)</td>", row) for name, row in rows.items()}


@pytest.mark.parametrize(
    ("r", "low", "used", "said"),
    [
        (0.9, 0.8, 0.7, None),
        (0.2, 0.1, 0.7, "not shown to do better"),  # its interval reaches those of the controls
        (0.2, None, 0.7, None),  # no intervals: means decide
        (0.01, None, 0.7, "not shown to do better"),
        (0.9, 0.8, 0.1, "never used"),
    ],
)
def test_good_is_what_lies_above_its_controls_and_uses_its_codes(run, r, low, used, said):
    verdict, good = verdict_of(run, scores(r, low, used))
    assert good is (said is None) and (said or "") in verdict
    assert f"r = {r:.3f}" in verdict and f"{100 * used:.0f} %" in verdict
    assert "random weights 0.030" in verdict and "shuffled in time 0.020" in verdict


def test_before_it_is_judged_the_last_validation_speaks(run):
    assert "no validation yet" in verdict_of(run, None)[0]
    (run.path / "validation.csv").write_text("step,r\n5,0.25\n10,0.4321\n")
    assert "0.432" in verdict_of(run, None)[0]


def test_tokenizers_are_compared_by_what_was_judged():
    other = scores(0.6, name="other")
    told = rows_of(comparison_table({"a <b>": scores(), "other": other}))
    assert told["a &lt;b&gt;"] == ["0.900 (0.800\xa0to\xa01.000)", "7.6", "0.810", "70 %", "42 %", "123.4", "-"]
    assert told["other"][0].startswith("0.600") and told["other"][-1] == "-0.123 (-0.223\xa0to\xa0-0.023)"
    assert told["control: random weights"][:3] == ["0.030 (-0.070\xa0to\xa00.130)", "-36.0", "-0.200"]
    assert told["control: codes shuffled in time"][:3] == ["0.020 (-0.080\xa0to\xa00.120)", "-31.0", "-0.900"]


def test_one_tokenizer_is_not_compared_with_itself():
    assert "less that of the first" not in comparison_table({"a": scores()})


def test_levels_stand_one_below_the_other():
    told = rows_of(levels_table(scores()))
    assert told["1"] == ["70 % of 4", "5.5", "2.46", "0.510", "0.410\xa0to\xa00.610"]
    assert told["2"] == ["100 % of 4", "3.5", "1.81", "0.900", "0.800\xa0to\xa01.000"]


def test_the_windows_and_all_notes_are_told_and_escaped():
    windows = {"number": 3, "of": 40, "window_s": 150.0, "sfreq_hz": 50.0, "block_s": None, "clip": 5.0, "rows": 48,
               "flat_rows": 2, "intervals_over": None, "recordings": {"armeni/<x>": 3},
               "notes": ["of windows"]}  # fmt: skip
    html = windows_html({"windows": windows, "tokenizers": {"a": scores()}})
    for said in ("3 of 40, 150 s", "the whole window", "48; 2 flat", "armeni/&lt;x&gt; (3)", "of windows",
                 "told of a &lt;b&gt;", "there is one window"):  # fmt: skip
        assert said in html


def test_random_and_new_weights_are_told_loudly():
    codec = BioCodec(CODEC)
    assert warnings_of(None, ()) == [] and "RANDOM" in warnings_of(codec, ())[0]
    codec.provenance = {"weights": "loaded", "steps": 40, "untrained": True}
    assert "HARDLY TRAINED: 40 steps" in warnings_of(codec, ())[0]
    codec.provenance = {"weights": "loaded", "steps": 4000, "untrained": False}
    assert warnings_of(codec, ()) == []


def test_what_is_not_known_is_a_dash():
    assert number(None) == number(float("nan")) == "-" and interval({"low": None, "high": None}) == ""
