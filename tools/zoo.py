"""Networks by name: list, info, download, convert, publish.

The same as ``python -m mmreact.zoo``, which an install without this folder
has.
"""
import sys

from mmreact.zoo.__main__ import main

if __name__ == '__main__':
    sys.exit(main())
