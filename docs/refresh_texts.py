"""Copy the texts of scenario files into the manifests of their stored captures.

    python docs/refresh_texts.py [FOLDER]

A manifest stores what its scenario's file said at the time: title, docstring, claim, the outcome it
declares, and one line per variant, gauge and limit. An edit of these does not invalidate the
capture. This replaces them only, and refuses an archive whose scenario differs in anything else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from resleak.captures import pack, storage
from resleak.captures.manifest import Declared, Manifest
from resleak.errors import ScenarioError
from resleak.workload import catalog

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
#: Keys of a described scenario that change nothing in a run, at any depth.
TEXTS = frozenset(
    {"title", "doc", "claim", "what", "source", "seed", "condition", "language", "claimed_by"}
    | {"origin", "fix_params", "outcome", "fix"}
)


def outdated(folder: Path) -> Iterator[Path]:
    """Yield each archive at or below a folder with texts that differ from its scenario's file."""
    for place in storage.places(folder):
        stored = [storage.read_manifest(one).scenario for one in storage.unpacked(place)]
        current = declared(stored[0].name)
        for one in stored:
            if _without_texts(one.to_json()) != _without_texts(current.to_json()):
                message = f"{place}: {one.name} differs in more than texts; capture it again"
                raise ScenarioError(message)
        if any(one != current for one in stored):
            yield place


def refresh(folder: Path) -> int:
    """Update every archive at or below a folder, and return how many changed."""
    places = list(outdated(folder))
    for place in places:
        pack.write(place, storage.unpacked(place), _refreshed)
    return len(places)


@cache
def declared(name: str) -> Declared:
    """Return what a scenario's file declares, as captures store it: tuples become lists."""
    scenario = catalog.load(catalog.locate(name))
    return Declared.parse(json.loads(json.dumps(scenario.describe())))


def _refreshed(manifest: Manifest) -> Manifest:
    return replace(manifest, scenario=declared(manifest.scenario.name))


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_texts(one) for key, one in value.items() if key not in TEXTS}
    is_list = isinstance(value, (list, tuple))
    return [_without_texts(one) for one in value] if is_list else value


if __name__ == "__main__":
    print(f"{refresh(Path(sys.argv[1]) if len(sys.argv) > 1 else CAPTURES)} archives updated")
