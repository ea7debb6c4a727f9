"""A load on the service: twenty reports a second, until it is interrupted."""

from __future__ import annotations

import itertools
import sys
import time

import httpx

PER_SECOND = 20


def main(url: str) -> None:
    """Ask for reports at an even pace."""
    began = time.monotonic()
    with httpx.Client() as client:
        for number in itertools.count(1):
            client.get(url)
            time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1])
