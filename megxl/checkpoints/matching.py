"""Strict matching of found tensors with a table of names: every key is matched, derived, or named."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from megxl.checkpoints.checkpoint import Checkpoint, KeyReport
from megxl.checkpoints.measuring import checked_sizes
from megxl.checkpoints.names import CODE_BOOKS, Row, our_rows, table_of
from megxl.errors import InputError


def match(
    found: Mapping[str, Tensor],
    rows: Sequence[Row],
    where: str,
    *,
    allow_unmatched: Sequence[str] = (),
    unknown: Sequence[str] = (),
    skipped: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> tuple[dict[str, Tensor], KeyReport]:
    """Take the tensors of a table under our names, and account for every key.

    Parameters
    ----------
    found : mapping of str to Tensor
        Tensors by the file's names.
    rows : sequence of Row
        What must be there.
    where : str
        File, for the message.
    allow_unmatched : sequence of str
        Patterns (as in file names: * ? [...]) of keys that may be left out.
    unknown : sequence of str
        Further keys of the file, outside its tensors, that nothing knows.
    skipped : sequence of str
        Known parts of the file that are left out.
    optional : sequence of str
        Absent names that are no error, for the report.

    Returns
    -------
    tensors : dict of str to Tensor
        Own memory, not views of the file.
    report : KeyReport
        What became of each key.

    Raises
    ------
    InputError
        Names what is missing, unknown without consent, or of another shape.
    """
    wanted = {row.released for row in rows}
    needed = [row for row in rows if row.ours]
    missing = [row.released for row in needed if row.released not in found]
    unmatched = [*(name for name in found if name not in wanted), *unknown]
    refused = [name for name in unmatched if not any(fnmatchcase(name, pattern) for pattern in allow_unmatched)]
    _refuse(missing, refused, where)
    _check_shapes(found, needed, where)
    report = KeyReport(
        matched=len(needed),
        derived=tuple(row.released for row in rows if not row.ours and row.released in found),
        unmatched=tuple(unmatched),
        missing=tuple(optional),
        skipped_sections=tuple(skipped),
    )
    return _by_our_names(found, needed), report


def refuse_other_code_books(tensors: Mapping[str, Tensor], where: str) -> None:
    """The model's copies of the code books must be those of the codec that it carries."""
    for level, code_book in enumerate(tensors[CODE_BOOKS]):
        carried = tensors.get(f"tokenizer.quantizer.levels.{level}.code_book")
        if carried is not None and not torch.equal(carried, code_book):
            raise InputError(
                f"{where}: the model's code book of level {level} differs from that of the codec in the same file: "
                "the two were not trained together."
            )


def checked_tensors(checkpoint: Checkpoint, where: str) -> dict[str, Tensor]:
    """Own copies on the CPU of a checkpoint's tensors, once they are seen to fit its sizes.

    For the writers: what nobody could read is not written.
    """
    sizes = checked_sizes(checkpoint.kind, checkpoint.config, where)
    found = {name: tensor.detach().cpu() for name, tensor in checkpoint.tensors.items()}
    tensors, _ = match(found, our_rows(table_of(checkpoint.kind, sizes)), where)
    if checkpoint.kind == "megxl":
        refuse_other_code_books(tensors, where)
    return tensors


def listing(names: Sequence[str], most: int = 5) -> str:
    """First few names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _refuse(missing: Sequence[str], refused: Sequence[str], where: str) -> None:
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing ({listing(missing)})")
    if refused:
        parts.append(f"{len(refused)} unknown ({listing(refused)})")
    if not parts:
        return
    mend = (
        "Without the missing ones the file cannot be used: it is incomplete or of another model."
        if missing
        else "If they can be left out, say so with --allow-unmatched PATTERN (in Python: allow_unmatched=[...])."
    )
    raise InputError(f"{where}: the keys do not match: {' and '.join(parts)}. {mend}")


def _check_shapes(found: Mapping[str, Tensor], rows: Sequence[Row], where: str) -> None:
    wrong = [row for row in rows if tuple(found[row.released].shape) != row.shape]
    if wrong:
        first = "; ".join(
            f"{row.released} has {tuple(found[row.released].shape)}, expected {row.shape}" for row in wrong[:3]
        )
        rest = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise InputError(
            f"{where}: {len(wrong)} of {len(rows)} tensors have another shape than the sizes say: {first}{rest}."
        )
    strange = [row.released for row in rows if not found[row.released].is_floating_point()]
    if strange:
        raise InputError(f"{where}: weights must be floating point, but {strange[0]} is {found[strange[0]].dtype}.")


def _by_our_names(found: Mapping[str, Tensor], rows: Sequence[Row]) -> dict[str, Tensor]:
    stacks: dict[str, list[Tensor]] = {}
    tensors: dict[str, Tensor] = {}
    for row in rows:
        assert row.ours is not None
        tensor = found[row.released].detach()
        if row.part is None:
            tensors[row.ours] = tensor.clone(memory_format=torch.contiguous_format)
        else:
            stacks.setdefault(row.ours, []).append(tensor)
    return tensors | {name: torch.stack(parts) for name, parts in stacks.items()}
