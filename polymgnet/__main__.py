"""`python -m polymgnet` is the same as the console script `polymgnet`."""

import sys

from polymgnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
