"""A helper process is started for each refresh, and nobody waits for it.

Source: jedbjorn/subfloor#956, after the kind of IdentityPython/pysaml2#318
Environment: plain
Kind: leaky
Rates: zombies 1
Truth: TODO
"""

import subprocess

helpers = {}


def refreshed(name):
    helpers[name] = subprocess.Popen(["true"], stdout=subprocess.DEVNULL)


def step(i):
    refreshed(f"view-{i}")
