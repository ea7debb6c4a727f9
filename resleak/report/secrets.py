"""Patterns of well-known tokens, keys and passwords that stand in no environment variable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

#: Detectors that guess: they would blacken numbers, digests and ordinary words.
_GUESSES = {"Base64 High Entropy String", "Hex High Entropy String", "Public IP (ipv4)"}
_GUESSES |= {"Secret Keyword"}
#: Replaced by rules of our own below, which find more and take linear time.
_OURS = {"Basic Auth Credentials", "JSON Web Token", "NPM tokens", "Private Key"}
#: Shorter texts hold no token of a known form.
MIN_LENGTH = 12

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)
_JWT = re.compile(r"(?<![\w-])eyJ[\w=-]+\.[\w=-]+(?:\.[\w=-]*)?")
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/?#@\[\]\"'<>]*):([^\s/@\"'<>]+)(?=@)")
_ASSIGNED = re.compile(
    r"""(?<![A-Za-z])(password|passwd|pwd|secret|token|_authToken|api[_-]?key|access[_-]?key)="""
    r"""(?!None\b|True\b|False\b|\[)("[^"\n]+"|'[^'\n]+'|[^\s,;&'")<>\]]+)""",
    re.IGNORECASE,
)

#: Kind, pattern and what stands in its place.
Rule = tuple[str, re.Pattern[str], str]


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of detect-secrets and ours."""
    return (
        ("private key", _PRIVATE_KEY, "[private key]"),
        ("password", _URL_PASSWORD, r"\1:[password]"),
        ("password", _ASSIGNED, r"\1=[secret]"),
        ("npm token", re.compile(r"npm_[A-Za-z0-9]{36}"), "[npm token]"),
        ("JSON Web Token", _JWT, "[JSON Web Token]"),
        *_detect_secrets(),
    )


def _detect_secrets() -> Iterator[Rule]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    detectors: dict[str, Any] = get_mapping_from_secret_type_to_class()
    for name, detector in detectors.items():
        if name in _GUESSES | _OURS:
            continue
        for pattern in detector.denylist:
            yield name, _linear(pattern), f"[{name}]"


def _linear(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Return a pattern that begins at a word's begin if its length has no bound."""
    if not re.search(r"[+*]", pattern.pattern) or not pattern.pattern[0].isalpha():
        return pattern
    return re.compile(rf"(?<![\w-])(?:{pattern.pattern})", pattern.flags)
