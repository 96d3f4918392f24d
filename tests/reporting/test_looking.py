"""The looking itself: what it must find, and what it must leave alone."""

import pytest

from megxl.reporting.style import WIDTH, styled, titled_figure
from tests.reporting.looking import faults, network_references


@styled
def figure(xlabel="time (s)", ylabel="signal (µV)", title="a title", size=None, width=WIDTH):
    made = titled_figure((width, 3.0), "who")
    axes = made.subplots()
    axes.plot([0, 1, 2], [3, 1, 2])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.set_title(title, **({} if size is None else {"fontsize": size}))
    return made


def test_a_good_figure_has_no_faults():
    assert faults(figure()) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"xlabel": "time"}, "x axis of 'a title': 'time' has no unit"),
        ({"ylabel": ""}, "y axis of 'a title': '' has no unit"),
        ({"title": 40 * "too long "}, "is cut"),
        ({"size": 7}, "'a title' has 6.2 points in the page"),
        ({"width": 14}, "'time (s)' has 6.3 points in the page"),
    ],
)
def test_faults_are_found(changes, found):
    assert any(found in fault for fault in faults(figure(**changes)))


def test_shares_in_per_cent_need_no_other_unit():
    from matplotlib.ticker import PercentFormatter

    made = figure(ylabel="words found")
    assert faults(made)
    made.axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    assert faults(made) == []


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        "<img alt='a' src='//x.example/a.png'>",
        '<link rel="stylesheet" href="http://x.example/a.css">',
        "<style>@import 'https://x.example/a.css';</style>",
        "<style>p { background: url(https://x.example/a.png) }</style>",
    ],
)
def test_what_a_page_would_load_is_found(page):
    assert len(network_references(page)) == 1


def test_links_and_what_is_inside_are_left_alone():
    page = '<a href="https://doi.org/10.1">a paper</a><img src="data:image/png;base64,AAAA"><a href="#top">up</a>'
    assert network_references(page) == []
