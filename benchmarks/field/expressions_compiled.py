"""Regular expressions with the user's words are compiled, and the last 512 kept.

Source: frappe/frappe#21808, python/cpython#96346
Environment: plain
Kind: bounded
Full: 512
Truth: grows until about step 512, and no further until step 12,000
"""

import re


def step(i):
    return re.search(rf"\bword{i}\b", "a text without that word")
