"""What provenance says of recordings, over all the weights that weights began with."""

from megxl.training.trained_on import trained_on

SAID = {"armeni": {"train": ["armeni/a"], "validation": ["armeni/b"]}, "omega": {"train": ["omega/d"]}}
START = {"recordings": {"omega": {"train": ["omega/c"], "validation": []}}}


def test_recordings_of_the_weights_and_of_those_they_began_with_are_found():
    own = {"train": {"armeni/a", "omega/d"}, "validation": {"armeni/b"}}
    earlier = {"train": {"omega/c"}, "validation": set()}
    assert list(trained_on({"source": {"recordings": SAID, "started_from": START}})) == [own, earlier]
    assert list(trained_on({"recordings": SAID, "started_from": None})) == [own]
    assert list(trained_on({"source": {"weights": "loaded"}})) == []
