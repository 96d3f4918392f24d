"""Cam-CAN under its published name (alias of `megxl.corpora.camcan` and `megxl.data`)."""

from brainstorm.data._windows import PublishedWindows


class CamCANMEGDataset(PublishedWindows):
    """Segments of Cam-CAN recordings."""

    corpus = "camcan"
    by_task = True
