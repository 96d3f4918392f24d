"""`python -m megxl`: the same as `megxl`."""

import sys

from megxl.cli import main

sys.exit(main())
