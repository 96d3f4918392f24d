"""LibriBrain by words under its published name (alias of `megxl.data.groups`)."""

from brainstorm.data._words import PublishedWords


class LibriBrainWordAlignedDataset(PublishedWords):
    """Groups of LibriBrain words."""

    corpus = "libribrain"
    by_task = True
