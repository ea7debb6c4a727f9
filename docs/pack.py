"""Pack the captures below a folder into one file of another, as data/ has them.

python docs/pack.py build/captures/arc/auth_cache data/captures/arc/auth_cache
"""

from __future__ import annotations

import sys
from pathlib import Path

from resleak.captures import archive, load, pack

if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    pack.write(target / archive.NAME, [one.path for one in load.load(source)])
