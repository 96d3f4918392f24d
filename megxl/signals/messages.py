"""What MNE and the system say, made fit to be repeated: collected instead of printed, without names of folders."""

import errno
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

import mne

# An absolute path, or a file's URL, up to its last separator. Spaces may stand within the name of a folder, but not
# at its end, and not behind a colon or semicolon; units (m/s) and addresses of the web are left alone.
_FOLDERS = re.compile(
    r"(?<![\w.%)\]/\\])(?<!\w:(?=//))(?:file:)?~?(?:[A-Za-z]:)?[\\/]+"
    r"(?:(?:(?![:;]\s)[^\\/])*?[^\\/\s'\"(\[<=:,;][\\/]+)+"
)
# how Python shows a path inside of a message
_PATH_OBJECT = re.compile(r"\b(?:Pure)?(?:Posix|Windows)?Path\((['\"].*?['\"])\)")


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect what MNE warns of and logs as a warning (each sentence once) instead of showing it."""
    notes: list[str] = []
    logged: list[str] = []

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            logged.append(record.getMessage())
        return False

    mne.utils.logger.filters.insert(0, collect)  # before a filter that keeps the command line quiet
    try:
        # not a higher level: from there on MNE does not even warn
        with warnings.catch_warnings(record=True) as caught, mne.use_log_level("WARNING"):
            warnings.simplefilter("always")
            yield notes
    finally:
        mne.utils.logger.removeFilter(collect)
    developer = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    told = [str(warning.message) for warning in caught if not issubclass(warning.category, developer)]
    # what MNE thinks of a file's name says nothing about its data
    notes += dict.fromkeys(repeatable(text) for text in told + logged if "MNE naming conventions" not in text)


def repeatable(message: object) -> str:
    """Return a message, or that of an error, in one line and with each absolute path cut down to its last part.

    Names of folders may be names of people.
    """
    return _PATH_OBJECT.sub(r"\1", _FOLDERS.sub("", " ".join(str(message).split())))


def refusal_of_system(error: Exception, name: str) -> str | None:
    """Return the sentence for an error of the operating system, None for any other error.

    Parameters
    ----------
    error : Exception
        What was raised while a file was read.
    name : str
        The file, in case the error does not say which.
    """
    if not isinstance(error, OSError):
        return None
    number = errno.EACCES if isinstance(error, PermissionError) else error.errno  # MNE's own has no number
    # a damaged file makes its reader seek where nothing can be: that is not the system's fault
    if number in (None, errno.EINVAL):
        return None
    file = PurePath(error.filename).name if isinstance(error.filename, str) else name
    return f"{file} cannot be read: the operating system says {os.strerror(number)!r}."
