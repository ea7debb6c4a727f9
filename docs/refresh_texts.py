"""Copy the texts of scenario files into the manifests of their stored captures.

    python docs/refresh_texts.py [FOLDER]

A manifest stores what its scenario's file said at the time: title, docstring, claim, and one line
per variant, gauge and limit. An edit of these texts does not invalidate the capture. This replaces
the texts only, and refuses a capture whose scenario differs in anything else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resleak.errors import ScenarioError
from resleak.workload import catalog

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
#: Keys of a described scenario whose values people read, at any depth.
TEXTS = frozenset(
    {"title", "doc", "claim", "what", "source", "seed", "condition", "language", "claimed_by"}
    | {"origin", "fix_params"}
)


def outdated(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield each manifest below a folder whose texts differ from its file's, already updated."""
    scenarios: dict[str, Any] = {}
    for path in sorted(folder.rglob("manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        stored, name = manifest["scenario"], manifest["scenario"]["name"]
        if name not in scenarios:
            # By way of JSON, as captures store it: tuples become lists.
            scenarios[name] = json.loads(json.dumps(catalog.find(name).describe()))
        if _without_texts(scenarios[name]) != _without_texts(stored):
            raise ScenarioError(f"{path}: {name} differs in more than texts; capture it again")
        if scenarios[name] != stored:
            yield path, {**manifest, "scenario": scenarios[name]}


def refresh(folder: Path) -> int:
    """Update every manifest below a folder, and return how many changed."""
    changes = list(outdated(folder))
    for path, manifest in changes:
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
    return len(changes)


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_texts(one) for key, one in value.items() if key not in TEXTS}
    return [_without_texts(one) for one in value] if isinstance(value, list) else value


if __name__ == "__main__":
    print(f"{refresh(Path(sys.argv[1]) if len(sys.argv) > 1 else CAPTURES)} manifests updated")
