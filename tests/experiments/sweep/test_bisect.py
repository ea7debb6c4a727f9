"""A bisection on a cluster measures all releases at once, and finds the same change."""

from __future__ import annotations

from pathlib import Path

import pytest

from resleak.captures.store.store import Store
from resleak.errors import StoreError
from resleak.experiments import bisect
from resleak.harness.plan import CaptureOptions

LEAK = "from sh import true\ndef step(i): true()\n"


@pytest.mark.nightly
def test_releases_are_measured_on_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every release between the two is in the store, and the fix is the release that is known."""
    monkeypatch.chdir(tmp_path)
    Path("pipes.py").write_text(LEAK)
    options = CaptureOptions(runs=2, steps=60)
    found = bisect.bisect_releases(
        "pipes.py", "sh", "1.12.4", "1.12.1", options, cluster="local", store="store"
    )
    assert (found.first, found.last, found.fixed) == ("1.12.3", "1.12.2", True)
    store = Store.opened("store")
    specs = [one.spec for one in store.records(store.keys()) if one.spec.scenario == "pipes"]
    tried = sorted(spec.packages["sh"] for spec in specs)
    assert tried == sorted(["1.12.1", "1.12.2", "1.12.3", "1.12.4"] * 2)


def test_a_cluster_needs_a_store_that_its_workers_see(tmp_path: Path) -> None:
    """A store in this process's memory is refused before anything is measured."""
    (tmp_path / "pipes.py").write_text(LEAK)
    with pytest.raises(StoreError, match="cannot see memory://x"):
        bisect.bisect_releases(
            str(tmp_path / "pipes.py"), "sh", "1.12.1", "1.12.3",
            CaptureOptions(out=tmp_path / "out"), cluster="local", store="memory://x",
        )  # fmt: skip
