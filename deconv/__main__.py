"""``python -m deconv`` is the ``deconv`` command."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
