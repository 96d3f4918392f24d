"""Each figure that a test of this folder puts into a page is looked at, and so is each page that it saves."""

from pathlib import Path

import pytest

from tests.reporting.looking import faults, network_references


@pytest.fixture(autouse=True)
def looked_at(monkeypatch):
    """Real pages, as they are made: no figure without units, cut or too small, no page that needs a network."""
    import mne

    add_figure, save = mne.Report.add_figure, mne.Report.save

    def looked_at_figure(self, fig, title, **options):
        assert not faults(fig), f"{title}: {faults(fig)}"
        return add_figure(self, fig, title, **options)

    def looked_at_page(self, fname, **options):
        saved = save(self, fname, **options)
        assert not network_references(Path(fname).read_text(encoding="utf-8")), fname
        return saved

    monkeypatch.setattr(mne.Report, "add_figure", looked_at_figure)
    monkeypatch.setattr(mne.Report, "save", looked_at_page)
