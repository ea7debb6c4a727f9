"""Temporary folders and files are removed with their contents.

Source: deepchem/deepchem#563
Environment: plain
Kind: clean
Truth: no count grows from step 2,152 to 4,449
"""

import tempfile
from pathlib import Path


def step(i):
    with tempfile.TemporaryDirectory(prefix="field-model-") as folder:
        Path(folder, "weights").write_bytes(bytes(1_000))
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(1_000))
