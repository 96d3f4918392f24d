"""One sentence where a tokenizer is used at another rate than it was trained at."""

from megxl.tokenizer.signals import rate_note


def test_only_another_rate_is_worth_a_sentence():
    assert rate_note({}, 50.0) is None and rate_note({"signal": {}}, 50.0) is None
    assert rate_note({"signal": {"sfreq_hz": 50}}, 50.0) is None
    said = rate_note({"signal": {"sfreq_hz": 250.0}}, 50.0)
    assert said is not None and "trained on signals of 250 Hz and is used on ones of 50 Hz" in said
