"""Tables of words, metrics and parts: numbers beside those counted by hand, and what a click sorts by."""

import re

import numpy as np
import pytest

pytest.importorskip("lightning.pytorch")

from megxl.decoding.metrics import Metric
from megxl.reporting.words.scores import score_predictions
from megxl.reporting.words.tables import metrics_table, parts_table, sortable_table, words_table
from tests.decoding.predicting import predict


def cells(html: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in html.split("<tbody>")[1].split("</tr>")[:-1]]


def sorted_by(html: str) -> list[list[str]]:
    return [re.findall(r'data-value="([^"]*)"', row) for row in html.split("<tbody>")[1].split("</tr>")[:-1]]


def test_words_with_their_hits_and_ranks():
    labels = [0, 0, 0, 1, 1, 2]
    values = np.array([[3, 2, 1], [1, 3, 2], [2, 3, 1], [3, 2, 1], [1, 2, 3], [1, 2, 3.0]])
    scored = score_predictions("run", predict(values, labels), Metric(k=2, among=3), 100)
    # ranks of w0: 1, 3, 2; of w1: 2, 2; of w2: 1
    assert cells(words_table(scored, {"w0": ("w1", 2)})) == [
        ["w0", "3", "2", "66.7 %", "2.0", "w1 (2)"],
        ["w1", "2", "2", "100.0 %", "2.0", "-"],
        ["w2", "1", "1", "100.0 %", "1.0", "-"],
    ]


def test_numbers_are_sorted_as_numbers_and_words_are_escaped():
    html = sortable_table(("word", "heard"), [(('<i>"x"', '<i>"x"'), ("1,000", 1000))])
    assert sorted_by(html) == [["&lt;i&gt;&quot;x&quot;", "1000"]] and "<i>" not in html


def test_metrics_and_parts_of_results():
    one = {"value": 0.5, "low": 0.25, "high": 0.75, "chance": 0.2, "frequency": None, "p": 0.004}
    other = dict(one, low=None, high=None, frequency=0.3, p=None)
    told = {
        "reported_metric": "top3",
        "metrics": {"top3": one, "top1": other},
        "by_subject": {
            "small/<s>": {"words": 1200, "low": 0.1, "high": 0.3, "values": {"top3": 0.2}},
            "small/t": {"words": 7, "low": None, "high": None, "values": {}},
        },
    }
    assert cells(metrics_table(told)) == [
        ["top3 (reported)", "50.0 %", "25.0 to 75.0 %", "20.0 %", "-", "0.004"],
        ["top1", "50.0 %", "none", "20.0 %", "30.0 %", "-"],
    ]
    assert cells(parts_table(told, "by_subject", "subject")) == [
        ["small/&lt;s&gt;", "1,200", "20.0 %", "10.0 to 30.0 %"],
        ["small/t", "7", "-", "none"],
    ]
