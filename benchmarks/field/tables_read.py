"""A table is parsed from text, summed up and dropped.

Source: pandas-dev/pandas#21353, pandas-dev/pandas#51667
Environment: current
Packages: pandas
Kind: clean
Truth: no count grows from step 566 to 1,103
"""

import io

import pandas as pd

TEXT = "city,amount\n" + "".join(f"city {n % 40},{n}\n" for n in range(1_500))


def step(i):
    return int(pd.read_csv(io.StringIO(TEXT))["amount"].sum())
