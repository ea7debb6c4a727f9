"""Take out of what will be sent what only concerns this machine: paths, names, the environment."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

#: Names that too many people and too much prose share to tell anything.
_COMMON = {"root", "user", "admin", "nobody", "localhost", "localhost.localdomain"}
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|PRIVATE|COOKIE|DSN|AUTH", re.IGNORECASE)
#: Set by the shell, the locale or a test; or by us.
_HARMLESS = re.compile(r"LANG|LC_|TERM|COLORTERM|PYTHON|PYTEST|RESLEAK|GLIBC_|MALLOC_|PLOTLY|_$")
#: Words and relative paths in lower case say nothing about a machine; versions and flags are short.
_PLAIN = re.compile(r"[a-z_./ ]*|.{0,7}", re.DOTALL)
_NOT_PRIVATE = {"dev", "proc", "sys"}
_USUAL_ROOTS = {"home", "Users", "root", "tmp", "var", "usr", "opt", "etc", "mnt", "srv", "private"}
#: What may follow inside a path, up to a quote, a bracket or the end of a word.
_REST = r"""(?:[/\\]+[^\s'"<>|:;,()\[\]{}`*?\\/]+)*[/\\]?"""
#: Base64 numbers and pictures hold no text; cutting into them would break them.
_BINARY = {"bdata", "image/png", "image/jpeg", "archive"}

#: A frame of a traceback, plain or in HTML, with the line of source below it and its markers.
_QUOTED = re.compile(
    r"""^([ \t]*File (?:"|&quot;|&\#34;)[^\n]+, line \d+[^\n]*\n)([ \t]+)"""
    r"""(?!File )\S[^\n]*(?:\n[ \t]+[~^]+[ \t]*$)?""",
    re.MULTILINE,
)
#: What would reorder the text around it, or cannot be seen; colours of terminals stay.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

Rule = tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]]


class Redactor:
    """Replaces what must not leave this machine, and counts what it replaced.

    Parameters
    ----------
    homes : iterable of str
        Folders whose paths are private whatever their names are.
    user, host : str
        Names replaced as whole words; empty for none.
    environment : mapping of str to str
        Whose values are replaced, unless they are plain words.
    source : bool
        Keep the source lines that tracebacks quote.

    Attributes
    ----------
    found : Counter
        Replacements made by kind: ``path``, ``user name``, ``host name``, ``environment value``,
        ``source line``, ``control character``.
    """

    def __init__(
        self,
        homes: Iterable[str],
        user: str,
        host: str,
        environment: Mapping[str, str],
        *,
        source: bool = False,
    ) -> None:
        self.found: Counter[str] = Counter()
        names = [("user name", user, "[user]"), ("host name", host, "[host]")]
        self._rules: list[Rule] = [
            *([] if source else [("source line", _QUOTED, _unquoted)]),
            *_environment_rules(environment),
            *_path_rules(homes),
            *(_word_rule(kind, name, to) for kind, name, to in names if _telling(name)),
            ("control character", _CONTROLS, _visible),
        ]

    @classmethod
    def here(cls, *, source: bool = False) -> Redactor:
        """Return one that knows this machine, this user and this process's environment."""
        homes = [Path.home(), Path.cwd(), Path(sys.prefix), Path(tempfile.gettempdir())]
        return cls(map(str, homes), _user(), socket.gethostname(), os.environ, source=source)

    def text(self, text: str) -> str:
        """Return the text with everything private replaced."""
        for kind, pattern, replace in self._rules:
            text, count = pattern.subn(replace, text)
            self.found[kind] += count
        return text

    def tree(self, value: Any) -> Any:
        """Return nested lists and dicts with every string in them replaced."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            pairs = ((k, v if k in _BINARY else self.tree(v)) for k, v in value.items())
            return type(value)((self.text(str(k)), v) for k, v in pairs)
        return value

    def summary(self) -> str:
        """Return what was replaced, in words."""
        told = [f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in self.found.items() if n]
        return ", ".join(told) or "nothing"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in this container
        return ""


def _telling(name: str) -> bool:
    return len(name) >= 2 and name.lower() not in _COMMON


def _word_rule(kind: str, word: str, to: str) -> Rule:
    return kind, re.compile(rf"(?<!\w){re.escape(word)}(?!\w)"), _always(to)


def _always(to: str) -> Callable[[re.Match[str]], str]:
    return lambda _: to


def _environment_rules(environment: Mapping[str, str]) -> list[Rule]:
    """Return a rule for each value worth hiding, longest first: one may contain another."""
    hidden = {value: name for name, value in environment.items() if _is_private(name, value)}
    rules: list[Rule] = []
    for value in sorted(hidden, key=len, reverse=True):
        forms = sorted({value, escape(value)}, key=len, reverse=True)
        pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, forms))})(?!\w)")
        rules.append(("environment value", pattern, _always(f"[env {hidden[value]}]")))
    return rules


def _is_private(name: str, value: str) -> bool:
    if _SECRET.search(name):
        return len(value) >= 4
    if os.sep in value[:1] or _HARMLESS.match(name):  # paths have a rule of their own
        return False
    return not _PLAIN.fullmatch(value)


def _path_rules(homes: Iterable[str]) -> list[Rule]:
    before = r"(?<![\w.~>/-])(?:file://)?"
    known = sorted({home.rstrip("/\\") for home in homes}, key=len, reverse=True)
    prefixes = "|".join(re.escape(home) for home in known if len(home) > 1)
    roots = "|".join(map(re.escape, sorted(_roots(), key=len, reverse=True)))
    under = rf"{before}(?:{prefixes})(?![\w-]){_REST}"
    return [
        *([("path", re.compile(under), _short)] if prefixes else []),
        ("path", re.compile(rf"{before}/(?:{roots})(?![\w-]){_REST}"), _short),
        ("path", re.compile(r"(?<!\w)[A-Za-z]:\\+[^\s'\"<>|*?]+"), _short),
    ]


def _roots() -> set[str]:
    try:
        here = {entry.name for entry in Path("/").iterdir() if entry.is_dir()}
    except OSError:
        here = set()
    return (here | _USUAL_ROOTS) - _NOT_PRIVATE


def _short(found: re.Match[str]) -> str:
    """Return what stands for a path: only the name of a file, never of a folder, is kept."""
    path = found.group(0)
    stem = path.rstrip(".")
    name = re.split(r"[/\\]+", stem)[-1]
    kept = f"/{name}" if re.fullmatch(r"[\w-]+\.(?:py|ipynb|json|parquet|html)", name) else ""
    return f"[path]{kept}{path[len(stem) :]}"


def _unquoted(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}[source line]"


def _visible(found: re.Match[str]) -> str:
    return f"⟨U+{ord(found[0]):04X}⟩"
