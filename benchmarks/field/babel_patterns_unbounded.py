"""Parsed patterns stay in a dictionary without a bound (babel before 2.12).

Source: python-babel/babel#962
Environment: older
Packages: babel 2.11.0
Kind: leaky
Rates: objects 1, blocks 4
Truth: counted from step 6,565 to 12,000; also per step: malloc 39 B, anonymous 364 B
"""

from datetime import datetime

from babel.dates import format_datetime

MOMENT = datetime(2023, 5, 17, 8, 15)


def step(i):
    return format_datetime(MOMENT, f"yyyy-MM-dd 'desk {i}' HH:mm", locale="en")
