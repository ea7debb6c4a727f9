"""A helper process is started for each refresh, and waited for.

Source: jedbjorn/subfloor#956 (its fix)
Environment: plain
Kind: clean
Truth: no count grows from step 2,152 to 3,992
"""

import subprocess


def step(i):
    return subprocess.run(["true"], stdout=subprocess.DEVNULL, check=True).returncode
