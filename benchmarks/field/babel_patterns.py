"""Parsed patterns stay in a cache of 1,024.

Source: python-babel/babel#962, python-babel/babel#967
Environment: current
Packages: babel 2.12.1
Kind: bounded
Full: 1024
Truth: grows until about step 1,024, and no further until step 12,000
"""

from datetime import datetime

from babel.dates import format_datetime

MOMENT = datetime(2023, 5, 17, 8, 15)


def step(i):
    return format_datetime(MOMENT, f"yyyy-MM-dd 'desk {i}' HH:mm", locale="en")
