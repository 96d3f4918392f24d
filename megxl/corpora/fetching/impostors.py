"""What servers hand out in place of data: login pages, error messages, pointers to files that lie elsewhere."""

_MAGIC = {
    ".fif": (b"\x00\x00\x00\x64\x00\x00\x00\x1f",),
    ".h5": (b"\x89HDF\r\n\x1a\n",),
    ".hdf5": (b"\x89HDF\r\n\x1a\n",),
    ".meg4": (b"MEG41CP", b"MEG42CP"),
    ".res4": (b"MEG41RS", b"MEG42RS", b"MEG40RS"),
    ".gz": (b"\x1f\x8b",),
    ".edf": (b"0       ",),
    ".bdf": (b"\xffBIOSEMI",),
    ".set": (b"MATLAB", b"\x89HDF\r\n\x1a\n"),
    ".mat": (b"MATLAB", b"\x89HDF\r\n\x1a\n", b"\x00\x00", b"\x01\x00"),
}
"""How the files of an ending begin."""
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")


def why_impostor(name: str, head: bytes) -> str | None:
    """Say why the beginning of a file cannot be that of data of its name; None: it can.

    Parameters
    ----------
    name : str
        Its ending says what it should be.
    head : bytes
        The first bytes, a few hundred are enough.
    """
    ending = "." + name.rpartition(".")[2].lower()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGES) and ending not in (".html", ".htm"):
        return "a web page came in place of data (a login or an error page?): see whether you have access."
    if text.startswith(b"<?xml") and b"<error>" in text:
        return "an error message came in place of data: see whether you have access."
    if text.startswith(b"version https://git-lfs") or b"/annex/objects/" in head[:512]:
        return "a pointer came in place of data: the file itself lies elsewhere."
    begins = _MAGIC.get(ending)
    if begins and head and not head.startswith(begins):
        return f"it does not begin as a {ending} file does: something else came in place of data."
    return None
