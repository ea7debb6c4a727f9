"""Every call that deletes, moves or overwrites a file is listed here, with where it may point."""

from __future__ import annotations

import ast
from pathlib import Path

import resleak

ROOT = Path(resleak.__file__).parent
#: Names of functions that can make a file or a folder disappear.
CALLS = {"rmtree", "unlink", "remove", "rename", "replace", "copyfile", "copy", "copy2"}
CALLS |= {"copytree", "move", "rmdir", "removedirs", "renames", "truncate", "symlink_to"}
#: Functions with such calls, and what they may touch.
ALLOWED = {
    "captures.locks.temporary_folder": "the temporary folder that it made",
    "captures.locks._remove_leftovers": "temporary folders of ours that no process locks",
    "captures.files.atomic": "the file that the caller writes, and a new name beside it",
    "captures.files.put_new": "the new name beside a place that is free",
    "captures.storage.writing": "the unfinished folder that it made",
    "captures.storage.retire": "captures that validate as of this variant, in its folder",
    "captures.storage._remove_empty": "empty folders that it made, and empty ones in them",
    "captures.storage._to_folders": "an archive whose captures are in folders now, and its staging",
    "captures.storage._put": "a capture that validates, at the exact path that is written",
    "captures.storage._remove_leftovers": "unfinished folders of the same capture, not locked",
    "experiments.environments._build": "an environment in our own cache folder, locked",
    "experiments.bisect._copy_inside": "the workload's file in a temporary tree",
    "experiments.sweep.results._Judge._judged": "captures that it fetched to a temporary folder",
    "experiments.sweep.shipping.Shipped.workload": "a new folder in our own cache folder",
    "harness.child.entry": "the file with its job, in the temporary folder of the run",
    "harness.child.inspection.inspector.Journal.__init__": "the journal of the run",
    "harness.measurement.measure": "the unfinished folder that the run wrote",
}


def destructive(path: Path) -> set[str]:
    """Return the functions of a module that call one of `CALLS` on a file."""
    found = set()
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                inner = f"{name}.{child.name}"
            if isinstance(child, ast.Call) and is_destructive(child):
                found.add(name)
            visit(child, inner)

    visit(ast.parse(path.read_text(encoding="utf-8")), module)
    return found


def is_destructive(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in CALLS:
        return False
    owner = function.value.id if isinstance(function.value, ast.Name) else ""
    if function.attr in ("replace", "remove", "copy", "rename", "move", "truncate"):
        # Texts, lists, frames and dataclasses have methods of these names.
        is_path_method = len(call.args) == 1 and not call.keywords and function.attr != "remove"
        return owner in ("os", "shutil") or (is_path_method and function.attr != "copy")
    return True


def test_every_deletion_is_known() -> None:
    """Each function that can delete or overwrite a file is listed with what it may touch."""
    modules = [path for path in ROOT.rglob("*.py") if "scenarios" not in path.parts]
    assert {name for path in modules for name in destructive(path)} == ALLOWED.keys()
