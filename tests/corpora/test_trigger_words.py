"""Triggers without a trigger channel: annotations as amplifiers write them, and which of them a code means."""

import mne
import numpy as np
import pytest

from megxl.corpora.corpus import corpus_named
from megxl.corpora.trigger_words import trigger_onsets, words_at_triggers, words_of_annotations
from megxl.errors import InputError

SFREQ_HZ = 250.0
MARKS = [
    (0.0, "New Segment/"),
    (0.5, "Stimulus/S  1"),
    (0.9, "Response/R  5"),
    (1.5, "Stimulus/S  2"),
    (2.0, "BAD_blink"),
    (2.5, "Stimulus/S  1"),
    (3.0, "Stimulus/S 12"),
]


def eeg(marks=(), stim=None):
    """Two electrodes, 4 s; the recording begins 2 s after the acquisition."""
    signal_CT = np.random.default_rng(0).normal(size=(2, 1000)) * 1e-5
    names, kinds = ["Cz", "Pz"], ["eeg", "eeg"]
    if stim is not None:
        signal_CT, names, kinds = np.vstack([signal_CT, stim]), [*names, "STI"], [*kinds, "stim"]
    raw = mne.io.RawArray(signal_CT, mne.create_info(names, SFREQ_HZ, kinds), first_samp=500, verbose="ERROR")
    if marks:
        onsets_s, texts = zip(*marks, strict=True)
        raw.set_annotations(mne.Annotations(onsets_s, 0.0, texts))
    return raw


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (("1",), [0.5, 2.5]),
        ((1, 2), [0.5, 1.5, 2.5]),
        (("Stimulus/S 1",), [0.5, 2.5]),
        (("Stimulus/S  2", "12"), [1.5, 3.0]),
        ((), [0.5, 0.9, 1.5, 2.5, 3.0]),
    ],
)
def test_annotations_stand_for_triggers_where_there_is_no_channel_of_them(codes, expected):
    assert trigger_onsets(eeg(MARKS), None, codes) == pytest.approx(expected)


def test_annotated_triggers_are_those_that_mne_finds():
    raw = eeg([(onset_s, text) for onset_s, text in MARKS if text.startswith("Stimulus")])
    events, codes = mne.events_from_annotations(raw, verbose="ERROR")
    truth_s = [(row[0] - raw.first_samp) / SFREQ_HZ for row in events if row[2] == codes["Stimulus/S  1"]]
    assert trigger_onsets(raw, None, ("1",)) == pytest.approx(truth_s)


def test_a_number_that_two_descriptions_end_in_is_a_choice():
    raw = eeg([*MARKS, (3.5, "Response/R  1")])
    with pytest.raises(InputError, match=r"1 may be 'Response/R  1' or 'Stimulus/S  1'; give the whole description"):
        trigger_onsets(raw, None, ("1",))
    assert trigger_onsets(raw, None, ("Response/R 1",)) == [3.5]


def test_a_recording_without_triggers_says_what_its_annotations_are():
    with pytest.raises(
        InputError, match=r"no trigger channel, and no annotation with the code 7 .* 'Stimulus/S  1' \(2\)"
    ):
        trigger_onsets(eeg(MARKS), None, ("7",))
    with pytest.raises(InputError, match=r"no trigger channel, and no annotation in place of triggers; .*: none"):
        trigger_onsets(eeg([(1.0, "BAD_blink")]), None)


def test_a_trigger_channel_comes_first_and_annotations_can_be_chosen():
    stim_T = np.zeros(1000)
    stim_T[250:255] = 1
    raw = eeg(MARKS, stim=stim_T)
    assert trigger_onsets(raw, None, (1,)) == trigger_onsets(raw, None, ("1",)) == [1.0]
    assert trigger_onsets(raw, "annotations", (1,)) == [0.5, 2.5]
    with pytest.raises(InputError, match=r"no channel 'Cy'; .* are: STI\. trigger_channel=annotations"):
        trigger_onsets(raw, "Cy")


def test_every_text_of_a_transcript_is_a_word():
    words = words_at_triggers(["Silence", "sp", "sil"], [1.0, 2.0, 3.0], "a.txt")
    assert [word.text for word in words] == ["Silence", "sp", "sil"] and words.notes == ()
    words = words_at_triggers(["Silence", "n/a"], [1.0, 2.0], "a.txt", ("silence",))
    assert words.notes == (
        "1 of 2 rows of words left out, silence (silence): a.txt.",
        "1 of 2 rows of words left out, word without a text: a.txt.",
    )


def test_silences_among_annotations_are_counted():
    words = words_of_annotations(eeg([(1.0, "word/the"), (2.0, "word/SP")]), "word/*", ("sp",))
    assert [(word.text, word.onset_s) for word in words] == [("the", 1.0)]
    assert words.notes == ("1 of 2 rows of words left out, silence (sp): annotations.",)


def test_an_eeglab_recording_is_timed_by_its_events(shared, tmp_path):
    source = shared / "realdata" / "eeg" / "test_raw.set"
    raw = mne.io.read_raw_eeglab(source, verbose="ERROR")
    truth_s = raw.annotations.onset[raw.annotations.description == "square"]
    for path in (source, source.with_suffix(".fdt")):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "test_raw.txt").write_text(" ".join(f"w{n}" for n in range(len(truth_s))))
    corpus = corpus_named("files", {"words_kind": "triggers", "trigger_codes": "square"})
    words = corpus.words(corpus.select(tmp_path)[0])
    np.testing.assert_allclose([word.onset_s for word in words], truth_s, atol=1e-9)
