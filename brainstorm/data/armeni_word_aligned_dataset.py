"""Armeni by words under its published name (alias of `megxl.data.groups`)."""

from brainstorm.data._words import PublishedWords


class ArmeniWordAlignedDataset(PublishedWords):
    """Groups of Armeni words."""

    corpus = "armeni"
