"""The published fine-tuning command (alias): ``python -m`` this module is `megxl finetune`."""

import sys
from pathlib import Path


def main() -> int:
    """Run `megxl finetune` with the arguments of this command."""
    from megxl.cli import main as megxl

    return megxl(["finetune", *sys.argv[1:]])


if __name__ == "__main__":
    # Python puts the folder of a script before all others, where this package's own folders would hide installed ones
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    sys.exit(main())
