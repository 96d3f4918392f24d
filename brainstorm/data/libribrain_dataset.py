"""LibriBrain under its published name (alias of `megxl.corpora.libribrain` and `megxl.data`)."""

from brainstorm.data._windows import PublishedWindows


class LibriBrainMEGDataset(PublishedWindows):
    """Segments of LibriBrain recordings."""

    corpus = "libribrain"
    by_task = True
