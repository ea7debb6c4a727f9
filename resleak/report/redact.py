"""Redact private data: paths, names, values of the environment, tokens and source lines."""

from __future__ import annotations

import getpass
import os
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from html import escape, unescape
from pathlib import Path
from typing import Any

from resleak import formatting

#: Names of users and hosts that are too common to identify anyone.
_COMMON = {"root", "user", "admin", "nobody", "localhost", "localhost.localdomain"}
_SECRET = re.compile(
    r"KEY|TOKEN|SECRET|PASS|_PWD|CREDENTIAL|PRIVATE|COOKIE|DSN|AUTH", re.IGNORECASE
)
#: Settings that a variable named like a secret may have.
_SETTINGS = {"true", "false", "none", "null", "auto", "default", "enabled", "disabled", "basic"}
#: Variables of the shell, the locale or a test; and ours.
_HARMLESS = re.compile(r"LANG|LC_|TERM|COLORTERM|PYTHON|PYTEST|RESLEAK|GLIBC_|MALLOC_|PLOTLY|_$")
#: Lower-case words and relative paths identify no machine; versions and flags are short.
_PLAIN = re.compile(r"[a-z_./ ]*|.{0,7}", re.DOTALL)
#: Values of at least so many characters are also replaced within words.
_LONG = 6
_NOT_PRIVATE = {"dev", "proc", "sys"}
_USUAL_ROOTS = {"home", "Users", "root", "tmp", "var", "usr", "opt", "etc", "mnt", "srv", "private"}
#: The rest of a path, up to a quote, a bracket or the end of a word.
_REST = r"""(?:[/\\]+[^\s'"<>|:;,()\[\]{}`*?\\/]+)*[/\\]?"""
#: Values that are base64 without text; a replacement would break them.
_BINARY = {"bdata", "image/png", "image/jpeg"}

#: A frame of a traceback, plain or in HTML, with the line of source below it and its markers.
_QUOTED = re.compile(
    r"""^([ \t]*File (?:"|&quot;|&\#34;)[^\n]+, line \d+[^\n]*\n)([ \t]+)"""
    r"""(?!File )\S[^\n]*(?:\n[ \t]+[~^]+[ \t]*$)?""",
    re.MULTILINE,
)
#: Characters that reorder text or cannot be seen; ESC stays, for colours of terminals.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_TAG = re.compile(r"""(<(?:[^<>"']|"[^"]*"|'[^']*')*>)""")
_ATTRIBUTE = re.compile(r"""(?<==)"([^"]*)\"""")

#: Detectors of detect-secrets that guess: they would blacken numbers, digests and ordinary words.
_GUESSES = {"Base64 High Entropy String", "Hex High Entropy String", "Public IP (ipv4)"}
_GUESSES |= {"Secret Keyword"}
#: Replaced by rules of our own below, which find more and take linear time.
_OURS = {"Basic Auth Credentials", "JSON Web Token", "NPM tokens", "Private Key"}
#: Shorter texts hold no token of a known form.
_MIN_LENGTH = 12
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w=-]+\.[\w=-]+(?:\.[\w=-]*)?")
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/?#@\[\]\"'<>]*):([^\s/@\"'<>]+)(?=@)")
_NAMED = (
    r"[a-z]{0,20}passw(?:or)?d|passphrase|pwd|secret|(?:api|access|account|secret|private)[_-]?key"
)
_NAMED_TOKEN = rf"{_NAMED}|(?:access|auth|id|refresh)?token"
_ASSIGNED = re.compile(
    rf"""(?<![A-Za-z])({_NAMED_TOKEN}|_authToken)="""
    r"""(?!None\b|True\b|False\b|\[)("[^"\n]+"|'[^'\n]+'|[^\s,;&'")<>\]]+)""",
    re.IGNORECASE,
)

#: The same in JSON and in code with spaces, where the value is quoted, and alone on a line of YAML.
_QUOTED_VALUE = re.compile(
    rf"""(?<![A-Za-z])({_NAMED_TOKEN})(\\?["']?\s{{0,4}}[:=]\s{{0,4}}\\?["'])"""
    r"""[^"'\s\\]{6,}(?=\\?["'])""",
    re.IGNORECASE,
)
_YAML_VALUE = re.compile(
    rf"((?:^|\\n)[ \t-]{{0,40}}(?:\w{{1,40}}_)?(?:{_NAMED})):[ \t]{{1,8}}(?!\[)"
    r"[^\s\"'\\]{6,}(?=$|\\n)",
    re.IGNORECASE | re.MULTILINE,
)
#: Within a line of YAML, of a log or of code, in INI files and after options: a value with a letter
#: and a digit, which is no type, no place in a text and is not called.
_INLINE_VALUE = re.compile(
    rf"(?<![A-Za-z])((?:{_NAMED_TOKEN}):[ \t]{{1,8}}|(?:{_NAMED_TOKEN})[ \t]{{1,8}}=[ \t]{{1,8}}"
    rf"|--(?:[a-z]{{1,20}}-){{0,3}}(?:{_NAMED_TOKEN})[ ])"
    r"(?!(?:\w{1,20}\.)?(?:u?int|float|complex|str|bytes|utf|sha)_?\d{1,3}\b)"
    r"""(?=[^\s"'<>()\[\]{},;\\]{0,80}\d)(?=[^\s"'<>()\[\]{},;\\]{0,80}[a-z])"""
    r"""[^\s"'<>()\[\]{},;\\]{6,}+(?![(\[])""",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"""(?<![\w-])(authorization|x-api-key|x-auth-token|(?:set-)?cookie)"""
    r"""(["']?\s{0,4}[:=]\s{0,4}["']?)(?:(?:Bearer|Basic|Token|Digest)\s{1,4}[^\s"',]{6,}"""
    r"""|[\w.-]{1,80}=[^\n"']{4,}|(?=[A-Za-z]{0,80}\d)[\w.~+/-]{8,})""",
    re.IGNORECASE,
)
_ACCESS_TOKEN = re.compile(
    r"(?<![\w-])(?:github_pat_\w{22,}|sk-(?:proj|ant|svcacct|admin)-[\w-]{20,}|AIza[\w-]{35}"
    r"|hf_[A-Za-z0-9]{30,}|pypi-[\w-]{50,})"
)

#: Kind, pattern and what stands in its place.
Rule = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]


class Redactor:
    """Replaces private data in text, and counts the replacements by kind in `counts`.

    `homes` are folders whose paths are private, `user` and `host` names; `environment` has values
    that are replaced unless they are plain words. With `source`, source lines in tracebacks stay.
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
        self.counts: Counter[str] = Counter()
        names = [("user name", user, "[user]"), ("host name", host, "[host]")]
        lines: list[Rule] = [] if source else [("source line", _QUOTED, r"\1\2[source line]")]
        #: Rules before those of known tokens, and after them.
        self._first: list[Rule] = [*lines, *_environment_rules(environment)]
        self._last: list[Rule] = [("path", pattern, _short) for pattern in _path_patterns(homes)]
        self._last += [
            (kind, re.compile(rf"(?<!\w){re.escape(name)}(?!\w)"), to)
            for kind, name, to in names
            if len(name) >= 2 and name.lower() not in _COMMON
        ]
        self._last.append(("control character", _CONTROLS, lambda m: f"⟨U+{ord(m[0]):04X}⟩"))

    @classmethod
    def here(cls, *, source: bool = False) -> Redactor:
        """Return a redactor for this machine, this user and this process's environment."""
        homes = [Path.home(), Path.cwd(), Path(sys.prefix), Path(tempfile.gettempdir())]
        user = ""
        with suppress(OSError, KeyError, ImportError):  # no such user in this container
            user = getpass.getuser()
        return cls(map(str, homes), user, socket.gethostname(), os.environ, source=source)

    def text(self, text: str) -> str:
        """Return text with everything private replaced."""
        tokens = token_rules() if len(text) >= _MIN_LENGTH else ()
        for kind, pattern, replacement in (*self._first, *tokens, *self._last):
            text, count = pattern.subn(replacement, text)
            self.counts[kind] += count
        return text

    def html(self, html: str) -> str:
        """Return sanitized HTML with its text and its attributes redacted, but not its markup."""
        parts = _TAG.split(html)
        parts[::2] = [escape(self.text(unescape(part)), quote=False) for part in parts[::2]]
        parts[1::2] = [_ATTRIBUTE.sub(self._attribute, part) for part in parts[1::2]]
        return "".join(parts)

    def _attribute(self, match: re.Match[str]) -> str:
        value = match[1]
        return match[0] if value.startswith("data:") else f'"{escape(self.text(unescape(value)))}"'

    def tree(self, value: Any) -> Any:
        """Return nested lists and dicts with every string in them redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            return [self.tree(item) for item in value]
        if isinstance(value, dict):
            return type(value)((self.text(str(k)), self._item(k, v)) for k, v in value.items())
        return value

    def _item(self, key: Any, value: Any) -> Any:
        if key in _BINARY:
            return value
        return self.html(value) if key == "text/html" else self.tree(value)

    def summary(self) -> str:
        """Return the number of replacements of each kind, in words."""
        parts = [formatting.counted(n, kind) for kind, n in self.counts.items() if n]
        return ", ".join(parts) or "nothing"


def _environment_rules(environment: Mapping[str, str]) -> Iterator[Rule]:
    """Yield a rule for each private value, longest first: one may contain another."""
    names = {value: name for name, value in environment.items() if _is_private(name, value)}
    for value in sorted(names, key=len, reverse=True):
        forms = sorted({value, escape(value), repr(value)[1:-1]}, key=len, reverse=True)
        pattern = "|".join(map(re.escape, forms))
        if len(value) < _LONG:
            pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
        replacement = f"[env {names[value]}]".replace("\\", r"\\")
        yield "environment value", re.compile(pattern), replacement


def _is_private(name: str, value: str) -> bool:
    if _SECRET.search(name):
        return len(value) >= 4 and value.lower() not in _SETTINGS
    if os.sep in value[:1] or _HARMLESS.match(name):  # paths have a rule of their own
        return False
    return not _PLAIN.fullmatch(value)


def _path_patterns(homes: Iterable[str]) -> Iterator[re.Pattern[str]]:
    before = r"(?<!<site-packages>)(?<!<stdlib>)(?<![\w.~</-])(?:file://)?"
    prefixes = sorted({home.rstrip("/\\") for home in homes}, key=len, reverse=True)
    private = "|".join(re.escape(prefix) for prefix in prefixes if len(prefix) > 1)
    if private:
        yield re.compile(rf"{before}(?:{private})(?![\w-]){_REST}")
    try:
        present = {entry.name for entry in Path("/").iterdir() if entry.is_dir()}
    except OSError:
        present = set()
    roots = sorted((present | _USUAL_ROOTS) - _NOT_PRIVATE, key=len, reverse=True)
    yield re.compile(rf"{before}/(?:{'|'.join(map(re.escape, roots))})(?![\w-]){_REST}")
    yield re.compile(r"(?<!\w)[A-Za-z]:\\+[^\s'\"<>|*?]+")


def _short(match: re.Match[str]) -> str:
    """Return a placeholder for a path; only the name of a file, never of a folder, is kept."""
    path = match[0]
    stem = path.rstrip(".")
    name = re.split(r"[/\\]+", stem)[-1]
    file = f"/{name}" if re.fullmatch(r"[\w-]+\.(?:py|ipynb|json|parquet|html)", name) else ""
    return f"[path]{file}{path[len(stem) :]}"


@cache
def token_rules() -> tuple[Rule, ...]:
    """Return rules of detect-secrets and ours for tokens that stand in no environment variable."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    rules: list[Rule] = [
        ("private key", _PRIVATE_KEY, "[private key]"),
        ("password", _URL_PASSWORD, r"\1:[password]"),
        ("access token", _ACCESS_TOKEN, "[access token]"),
        ("header", _HEADER, r"\1\2[secret]"),
        ("password", _ASSIGNED, r"\1=[secret]"),
        ("password", _QUOTED_VALUE, r"\1\2[secret]"),
        ("password", _YAML_VALUE, r"\1: [secret]"),
        ("password", _INLINE_VALUE, r"\1[secret]"),
        ("npm token", re.compile(r"npm_[A-Za-z0-9]{36}"), "[npm token]"),
        ("JSON Web Token", _JWT, "[JSON Web Token]"),
    ]
    detectors: dict[str, Any] = get_mapping_from_secret_type_to_class()
    for name, detector in detectors.items():
        if name not in _GUESSES | _OURS:
            rules += [(name, _linear(pattern), f"[{name}]") for pattern in detector.denylist]
    return tuple(rules)


def _linear(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern that begins at a word's begin if its length has no bound."""
    if not re.search(r"[+*]", pattern.pattern) or not pattern.pattern[0].isalpha():
        return pattern
    return re.compile(rf"(?<![\w-])(?:{pattern.pattern})", pattern.flags)
