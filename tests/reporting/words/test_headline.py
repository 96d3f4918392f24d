"""What a page says first: warnings, protocol, leaks, controls."""

from dataclasses import replace

import pytest

pytest.importorskip("lightning.pytorch")

from megxl.reporting.words.headline import summary_html, verdict_of_run, warnings_of
from megxl.reporting.words.opening import open_decoder
from megxl.reporting.words.scores import score
from megxl.store.store import Store
from megxl.training.runs import RESULTS, Run, write_json
from tests.reporting.words.small_run import add_decoder, make_run
from tests.small import TRAINED


def test_simulated_recordings_and_random_backbones_are_told_loudly(tmp_path):
    saved = open_decoder(add_decoder(make_run(tmp_path)), "cpu")
    recordings = {one.key: one for one in Store(tmp_path / "store").recordings()}
    assert [text.split(":")[0] for text in warnings_of(saved, recordings)] == ["NO PRE-TRAINED BACKBONE"]
    saved.decoder.backbone.model.provenance = dict(TRAINED)
    assert warnings_of(saved, recordings) == [] and warnings_of(None, {}) == []
    first = min(recordings)
    recordings[first] = replace(recordings[first], notes=["Simulated by megxl simulate: nobody was measured."])
    (warning,) = warnings_of(saved, recordings)
    assert warning.startswith("SIMULATED: 1 of 6 test recordings")


def test_leaks_are_listed_escaped_or_none_were_found(tmp_path):
    run = make_run(tmp_path)
    results = run.results()
    for leaks, said in ((["The word <b> leaks."], "<li>The word &lt;b&gt; leaks.</li>"), ([], "none found")):
        results["about"]["leaks"] = leaks
        write_json(run.path / RESULTS, results)
        html = summary_html(run, score(run), [], [], [])
        assert said in html and ("What leaks" in html) is bool(leaks)


def test_a_control_at_chance_is_no_failure(tmp_path):
    run = make_run(tmp_path, noise=300.0, control="noise")
    sentence, good = verdict_of_run(run)
    assert "not shown to be better" in sentence and good
    html = summary_html(run, score(run), [], [], [])
    assert "given noise in place of the signal" in html
    plain = Run(run.path, replace(run.config, control="none"))
    assert not verdict_of_run(plain)[1]
