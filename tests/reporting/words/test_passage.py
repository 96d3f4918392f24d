"""The passage: true words above decoded ones, harmless whatever the words are; what a click shows is in the page."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("lightning.pytorch")

from megxl.data.groups import Grouping
from megxl.decoding.metrics import Metric
from megxl.reporting.words.passage import MOST_GROUPS, json_in_html, passage_groups, passage_html
from megxl.reporting.words.scores import Scored, score_predictions
from megxl.store.store import Store
from tests.decoding.predicting import predict as predict_words
from tests.reporting.words.small_run import predict
from tests.training.words.small_words import make_word_store

EVIL = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    '"quoted" & <b>bold</b>',
    "--><!--",
    "it's",
)


class Elements(HTMLParser):
    """Every element of a page with its attributes and the text directly inside."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict, list[str]]] = []
        self._open: list[tuple[str, dict, list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = (tag, dict(attrs), [])
        self.found.append(element)
        self._open.append(element)

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        if self._open:
            self._open[-1][2].append(data)

    def texts(self, tag: str, **attributes) -> list[str]:
        return [
            "".join(text) for name, found, text in self.found
            if name == tag and attributes.items() <= found.items()
        ]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_word_store(tmp_path_factory.mktemp("words"), words=30, n_sensors=6)


def scored_of(store, words=None, noise=2.0) -> Scored:
    return score_predictions("run", predict(store, noise, words), Metric(k=2, among=4), 100)


def page(store, words=None, lacking="", recordings=None) -> tuple[Scored, Elements]:
    scored = scored_of(store, words)
    stored = {one.key: one for one in Store(store).recordings()} if recordings is None else recordings
    return scored, Elements(passage_html(scored, Grouping(), stored, lacking))


def content(elements: Elements) -> dict:
    return json.loads(elements.texts("script", id="passage-data")[0])


def test_words_of_any_kind_stay_text(store):
    _, elements = page(store, EVIL)
    assert {tag for tag, *_ in elements.found} <= {"style", "p", "button", "b", "span", "div", "script"}
    assert len([tag for tag, *_ in elements.found if tag == "script"]) == 2
    assert not any(name.startswith("on") for _, attributes, _ in elements.found for name in attributes)
    told = content(elements)
    assert {word["text"] for word in told["words"]} == set(EVIL)
    assert {text for word in told["words"] for text, _ in word["best"]} <= set(EVIL)
    assert EVIL[0] in elements.texts("b")


def test_json_in_a_script_element_holds_no_markup():
    text = json_in_html({"word": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text) and json.loads(text) == {"word": "</script><!-- & \u2028"}


def test_below_each_true_word_stands_the_best_candidate_and_how_it_was_found(store):
    scored, elements = page(store)
    groups = passage_groups(scored.predictions.occurrences.groups)
    numbers = [number for group in groups for number in group]
    values, targets = np.array(scored.predictions.values_NX), np.array(scored.predictions.targets_VD)
    cosine_NK = values @ targets[:4].T / np.linalg.norm(values, axis=1)[:, None] / np.linalg.norm(targets[:4], axis=1)
    buttons = [found for tag, found, _ in elements.found if tag == "button"]
    assert len(buttons) == len(numbers) > 0
    vocabulary, told = scored.predictions.vocabulary, content(elements)
    for number, button, word in zip(numbers, buttons, told["words"], strict=True):
        true = scored.predictions.occurrences.words[number]
        order = [vocabulary[n] for n in np.argsort(-cosine_NK[number])]
        rank = order.index(true) + 1 if true in order else None
        kind = "none" if rank is None else "first" if rank == 1 else "hit" if rank <= 2 else "miss"
        assert button["class"] == f"pw pw-{kind}" and word["text"] == true
        assert [text for text, _ in word["best"]] == order
        np.testing.assert_allclose([value for _, value in word["best"]], -np.sort(-cosine_NK[number]), atol=1e-4)
        assert ("cannot be found" in button["title"]) if rank is None else (f"ank {rank} of 4" in button["title"])


def test_a_click_has_the_signal_of_the_first_words_and_a_sentence_for_the_others(store, monkeypatch):
    monkeypatch.setattr("megxl.reporting.words.passage.MOST_SIGNALS", 7)
    _, elements = page(store)
    told = content(elements)
    assert ["signals" in word for word in told["words"]] == [True] * 7 + [False] * (len(told["words"]) - 7)
    assert "the first 7 words" in told["without_signal"]
    assert len(told["arrays"]) == 2  # of the two recordings that the first seven words come from
    _, elements = page(store, lacking="The store is gone.", recordings={})
    told = content(elements)
    assert told["without_signal"] == "The store is gone." and not any("signals" in word for word in told["words"])


def test_groups_are_spread_over_the_test_and_whole():
    names = [f"g{number // 5}" for number in range(200)]
    groups = passage_groups(names)
    assert len(groups) == MOST_GROUPS and groups[0][0] == 0 and groups[-1][-1] == 199
    assert all(group == list(range(group[0], group[0] + 5)) for group in groups)
    long = passage_groups([f"g{number // 150}" for number in range(450)])
    assert [len(group) for group in long] == [150]


def test_scores_of_a_decoder_without_vectors_are_called_scores():
    predictions = predict_words([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]], [0, 2])
    scored = score_predictions("run", predictions, Metric(k=1, among=3), 100)
    told = content(Elements(passage_html(scored, Grouping(), {}, "No store.")))
    assert told["score"] == "score" and told["words"][0]["best"][0] == ["w0", 3.0]
