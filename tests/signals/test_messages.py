"""What MNE and the system say: collected, in one line, without names of folders."""

import errno
import os
import warnings

import mne
import pytest

from megxl.signals.messages import collected_warnings, refusal_of_system, repeatable

DENIED = " cannot be read: the operating system says 'Permission denied'."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("File /home/Jane/a.fif is bad", "File a.fif is bad"),
        ("/home/Jane Doe/rec 1.fif and '/mnt/x y/b.fif' too", "rec 1.fif and 'b.fif' too"),
        (r"'C:\Users\Jane Doe\a.fif' or C:\\Users\\Jane\\b.fif", "'a.fif' or b.fif"),
        (r"\\server\jane\a.fif", "a.fif"),
        ("PosixPath('/home/O'Brien, PhD/a.fif')", "'a.fif'"),
        ("PosixPath('b.ds') of WindowsPath('C:/x/c.ds') (n)", "'b.ds' of 'c.ds' (n)"),
        ("error:/home/Jane/a.fif", "error:a.fif"),
        ("file:///home/Jane/a.fif", "a.fif"),
        ("~/Jane/a.fif", "a.fif"),
        ("(/data/Jane/x.ds/x.meg4)", "(x.meg4)"),
        ("/home/Jane/a.fif: the unit uV/Hz is odd", "a.fif: the unit uV/Hz is odd"),
    ],
)
def test_an_absolute_path_is_cut_down_to_its_last_part(text, expected):
    assert repeatable(text) == expected


@pytest.mark.parametrize(
    "text", ["5 m/s, T/m and/or 5 %/s of 1/2", "see https://mne.tools/stable/x.html", "a / b / c", "µV/√Hz", "~ 5"]
)
def test_other_slashes_stay(text):
    assert repeatable(text) == text


def test_messages_become_one_line():
    assert repeatable(ValueError("two\n   lines")) == "two lines"


def test_warnings_and_logged_warnings_are_collected_once_and_nothing_is_shown(capfd):
    filters = list(mne.utils.logger.filters)
    with collected_warnings() as notes:
        for _ in range(2):
            mne.utils.warn("one of /home/Jane/a.fif")
            mne.utils.logger.error("two of /home/Jane/a.fif")
        mne.utils.logger.info("three")
        warnings.warn("four", DeprecationWarning, stacklevel=1)
    assert notes == ["one of a.fif", "two of a.fif"]
    assert capfd.readouterr() == ("", "")
    assert mne.utils.logger.filters == filters


def test_a_filter_that_keeps_the_command_line_quiet_hides_nothing_from_the_notes(capfd):
    def quiet(record):
        return False

    mne.utils.logger.addFilter(quiet)
    try:
        with collected_warnings() as notes:
            mne.utils.logger.warning("only logged")
    finally:
        mne.utils.logger.removeFilter(quiet)
    assert notes == ["only logged"] and capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(errno.EACCES, "x", "/home/Jane/b.meg4"), "b.meg4" + DENIED),
        (PermissionError("a sentence of MNE"), "a.ds" + DENIED),
        (OSError(errno.EIO, "x"), f"a.ds cannot be read: the operating system says {os.strerror(errno.EIO)!r}."),
        (OSError("no number"), None),
        (OSError(errno.EINVAL, "seek"), None),
        (ValueError("other"), None),
    ],
)
def test_errors_of_the_system_are_told_from_damage(error, expected):
    assert refusal_of_system(error, "a.ds") == expected
