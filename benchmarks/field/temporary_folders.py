"""A fixture makes a temporary folder and leaves it where it is.

Source: mcdonc/klangk#2662, erdogant/undouble#4
Environment: plain
Kind: leaky
Rates: tempfiles 2
Truth: counted from step 6,565 to 12,000; also per step: anonymous 75 B
"""

import tempfile
from pathlib import Path


def saved(text):
    folder = tempfile.mkdtemp(prefix="field-state-")
    Path(folder, "state.json").write_text(text)
    return folder


def step(i):
    saved(f'{{"step": {i}}}')
