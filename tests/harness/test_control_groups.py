"""Limits of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resleak.harness import control_groups

QUOTAS = {
    "of version 2": ("0::/box\n", {"box/cpu.max": "150000 100000\n", "cpu.max": "max 100000\n"}),
    "of version 1": (
        "3:cpu:/box\n",
        {"cpu/box/cpu.cfs_quota_us": "150000\n", "cpu/box/cpu.cfs_period_us": "100000\n"},
    ),
}


@pytest.mark.parametrize("version", QUOTAS)
def test_a_quota_limits_the_processors(version: str, tmp_path: Path) -> None:
    """A group that may use one and a half processors keeps one busy."""
    groups, files = QUOTAS[version]
    named = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in {f"proc/{os.getpid()}/cgroup": groups, **named}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert control_groups.processors(tmp_path) == 1


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    """Without a group all processors count that the process may run on."""
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    assert control_groups.processors(tmp_path) == len(usable)
