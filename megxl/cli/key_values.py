"""Options of a corpus on a command line: KEY=VALUE."""

import json
from collections.abc import Sequence
from typing import Any

from megxl.errors import InputError


def key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """Read what ``--set`` was given; values as in JSON, other text as it is."""
    options = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InputError(f"--set {pair}: give an option of the corpus as KEY=VALUE.")
        try:
            options[key] = json.loads(text)
        except json.JSONDecodeError:
            options[key] = text
    return options
