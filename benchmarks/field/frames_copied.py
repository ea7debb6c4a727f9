"""A table is copied, and the copy dropped.

Source: pandas-dev/pandas#44983
Environment: current
Packages: pandas
Kind: clean
Truth: no count grows from step 6,565 to 12,000
"""

import pandas as pd

table = pd.DataFrame({"amount": [0] * 1_000})


def step(i):
    for _ in range(20):
        table.copy()
