"""A cache of validated tokens that never evicts grows with every token it has ever seen.

Clients renew their tokens: each step brings ten new ones, and each is used twice.

- `leaky` keeps every answer: ten entries and 14 kB per step. A revoked token also stays valid.
- `fixed` is `cachetools.TTLCache`. In a run of seconds only its bound, not its time, takes effect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="003#11",
    claim="the token validation cache grows indefinitely",
    condition="tokens are renewed; the fix by its bound, 300 (ours): no run is as long as its TTL",
    language="Python",
    symptoms={"entries": "leak", "heap": "leak"},
    outcome="reproduced",
    fix="holds",
    gauges=("heap",),
    control="fds",
    params={"tokens_per_step": 10, "max_entries": 300, "ttl_s": 300.0},
    requires=("cachetools",),
    extra="arc",
)
VERBS = ("read", "write", "delete")


class Auth:
    """Issues and validates signed tokens, and caches the validated ones."""

    def __init__(self, run: Run, cache: MutableMapping[str, dict[str, Any]]) -> None:
        self.run, self.cache = run, cache
        self.secret = run.rng.randbytes(32)

    def issue(self, number: int) -> str:
        claims = {
            "sub": f"{self.run.rng.getrandbits(128):032x}",
            "name": f"ingest-{number}",
            "permissions": [f"{verb}:db-{number % 7}" for verb in VERBS],
            "exp": 1_700_000_000 + number,
        }
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
        return f"{payload}.{self._sign(payload)}"

    def verify(self, token: str) -> dict[str, Any]:
        if token not in self.cache:
            payload, signature = token.split(".")
            if not hmac.compare_digest(signature, self._sign(payload)):
                raise PermissionError("the token was not issued here")
            self.cache[token] = json.loads(base64.urlsafe_b64decode(payload))
        return self.cache[token]

    def _sign(self, payload: str) -> str:
        return hmac.new(self.secret, payload.encode(), hashlib.sha256).hexdigest()


@scenario.setup
def auth(run: Run) -> Iterator[Auth]:
    if run.variant == "leaky":
        yield Auth(run, {})
        return
    from cachetools import TTLCache

    yield Auth(run, TTLCache(run.params.max_entries, run.params.ttl_s))


@scenario.gauge("entries")
def entries(auth: Auth) -> float:
    """Tokens in the cache."""
    return len(auth.cache)


@scenario.variant("leaky", expect={"entries": "leak", "heap": "leak"}, origin="document words")
@scenario.variant("fixed", origin="document words")
def serve(step: int, auth: Auth) -> None:
    """Validate new tokens and use each twice."""
    count = auth.run.params.tokens_per_step
    for number in range(step * count, (step + 1) * count):
        token = auth.issue(number)
        for _ in range(2):
            auth.verify(token)
