"""MEG-MASC by words under its published name (alias of `megxl.data.groups`)."""

from brainstorm.data._words import PublishedWords


class GwilliamsWordAlignedDataset(PublishedWords):
    """Groups of MEG-MASC words."""

    corpus = "meg_masc"
    channels = 208
