"""The published import paths and names, as thin aliases of `megxl`; a checkout has them, the wheel does not."""

import warnings
from pathlib import Path

_OURS = {
    "__init__.py",
    "_released.py",
    "data/__init__.py",
    "data/_blocks.py",
    "data/_options.py",
    "data/_published.py",
    "data/_windows.py",
    "data/_words.py",
    "data/armeni_dataset.py",
    "data/armeni_word_aligned_dataset.py",
    "data/camcan_dataset.py",
    "data/gwilliams_dataset.py",
    "data/gwilliams_word_aligned_dataset.py",
    "data/libribrain_dataset.py",
    "data/libribrain_word_aligned_dataset.py",
    "data/lightning_datamodule.py",
    "data/multi_datamodule.py",
    "data/multi_dataset.py",
    "data/omega_dataset.py",
    "data/preprocessing.py",
    "data/samplers.py",
    "data/schoffelen_dataset.py",
    "data/smn4lang_dataset.py",
    "data/subsampled_dataset.py",
    "data/utils.py",
    "evaluate_criss_cross_word_classification.py",
    "evaluate_criss_cross_word_classification_linear_probe.py",
    "losses/__init__.py",
    "losses/contrastive.py",
    "models/__init__.py",
    "models/criss_cross_transformer.py",
    "neuro_tokenizers/__init__.py",
    "neuro_tokenizers/biocodec/__init__.py",
    "neuro_tokenizers/biocodec/model.py",
    "train_criss_cross_multi.py",
}
_MARK = "alias"


def foreign_files(folder: Path) -> list[str]:
    """Python files in this folder that are not the aliases: copies of the published code, added or put over ours."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.py"))}
    return [name for name, path in found.items() if name not in _OURS or _MARK not in path.read_text()[:200]]


_foreign = foreign_files(Path(__file__).parent)
if _foreign:
    warnings.warn(
        f"Files of another code base lie in {Path(__file__).parent.name}/: {', '.join(_foreign[:5])}"
        + (f" and {len(_foreign) - 5} more" if len(_foreign) > 5 else "")
        + ". megxl needs no copy of the published code; where a file stands in place of an alias, that code runs "
        "instead of megxl's. Remove them (git clean, git checkout) to run megxl.",
        stacklevel=2,
    )
