"""Armeni under its published name (alias of `megxl.corpora.armeni` and `megxl.data`)."""

from brainstorm.data._windows import PublishedWindows


class ArmeniMEGDataset(PublishedWindows):
    """Segments of Armeni recordings."""

    corpus = "armeni"
