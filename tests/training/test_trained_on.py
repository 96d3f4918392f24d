"""What provenance says of recordings, over all the weights that weights began with."""

from dataclasses import replace

from megxl.store.store import Store
from megxl.training.trained_on import told_of, trained_on
from tests.data.told import told

SAID = {"armeni": {"train": ["armeni/a"], "validation": ["armeni/b"]}, "omega": {"train": ["omega/d"]}}
START = {"recordings": {"omega": {"train": ["omega/c"], "validation": []}}}


def test_recordings_of_the_weights_and_of_those_they_began_with_are_found():
    own = {"train": {"armeni/a", "omega/d"}, "validation": {"armeni/b"}}
    earlier = {"train": {"omega/c"}, "validation": set()}
    assert list(trained_on({"source": {"recordings": SAID, "started_from": START}})) == [own, earlier]
    assert list(trained_on({"recordings": SAID, "started_from": None})) == [own]
    assert list(trained_on({"source": {"weights": "loaded"}})) == []


def test_hours_and_licences_are_told_by_corpus_and_part(tmp_path):
    for corpus, subject, seconds in (("armeni", "sub-1", 36.0), ("armeni", "sub-2", 72.0), ("omega", "sub-1", 18.0)):
        told(tmp_path, [], corpus=corpus, subject=subject, seconds=seconds)
    one, two, three = Store(tmp_path).recordings()
    parts = {
        "train": [replace(one, licence="on application"), replace(two, licence="CC0")],
        "validation": [replace(three, licence=None), replace(one, licence="CC0")],
    }
    assert told_of(parts) == {
        "armeni": {"hours": {"train": 0.03, "validation": 0.01}, "licences": ["CC0", "on application"]},
        "omega": {"hours": {"validation": 0.005}, "licences": []},
    }
