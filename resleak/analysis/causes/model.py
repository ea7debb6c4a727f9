"""The cause of a leak with its evidence, and the balance of each growing gauge."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resleak.analysis.gauge_verdict import GaugeVerdict

OBJECTS, NATIVE, FILES, SOCKETS, THREADS, TASKS, CHILDREN, ZOMBIES, MAPS, SHM, TEMPORARY = (
    *("Python objects", "native memory", "file descriptors", "sockets", "threads", "tasks"),
    *("child processes", "zombies", "memory maps", "shared memory", "temporary files"),
)
CYCLES, OWN, RESIDENT = "reference cycles", "the program's own count", "resident memory"
#: Code of the advice on growth of which only numbers are known.
REPEAT = "repeat_as_step"
#: Kinds by the gauge of what is never released, the most telling first.
BY_GAUGE = {
    "zombies": ZOMBIES,
    "children": CHILDREN,
    "threads": THREADS,
    "tasks": TASKS,
    "shm": SHM,
    "sockets": SOCKETS,
    "tempfiles": TEMPORARY,
    "fds": FILES,
}
#: Code and text for each kind; {owner} is what keeps the retained objects.
_BY_KIND = {
    FILES: ("close", "Close it on every path, best in a with block{or_remove}."),
    SOCKETS: ("close", "Close it on every path, best in a with block{or_remove}."),
    THREADS: ("stop_and_join", "Tell the thread to stop, and join it{or_remove}."),
    TASKS: ("cancel_and_await", "Await the task, or cancel it and await it."),
    CHILDREN: ("end_and_wait", "End the process, and wait for it."),
    ZOMBIES: ("wait", "Call wait() or communicate(): the process has ended already."),
    MAPS: ("unmap", "Close the map, or use the same one again{or_remove}."),
    SHM: ("unlink", "Call unlink() where the segment is no longer needed."),
    TEMPORARY: ("delete", "Delete it, or use it in a with block."),
    NATIVE: ("free", "Free what the native call allocates, or drop the object that has it."),
    CYCLES: ("break_cycle", "Break the cycle, or close explicitly what hangs on it."),
    OWN: ("bound", "Remove what the program counts when it is no longer needed, or cap it."),
    RESIDENT: ("find", "Find what is mapped or kept outside of the heap."),
}
#: Chains and lines that tell a case, with its code and its text.
_CASES = (
    (
        "_lru_cache_wrapper",
        "bound_cache",
        "Give the cache a maxsize; on a method it keeps every instance, so cache per instance.",
    ),
    (
        r"_pylab_helpers|plt\.(figure|subplots)",
        "close_figure",
        "Call plt.close(figure) when a figure is done.",
    ),
    (
        r"logging\.\w*[hH]andler|Logger\.handlers|addHandler",
        "remove_handler",
        "Add the handler once, or remove it with removeHandler().",
    ),
    (
        r"EventLoop\._(scheduled|ready)",
        "cancel_timer",
        "Cancel timers (call_later, call_at) that are no longer needed.",
    ),
    (
        r"(Error|Exception)$",
        "drop_traceback",
        "An exception keeps the frames of its traceback and all that they hold: keep its text, or "
        "clear it by with_traceback(None).",
    ),
    (r"atexit\.register", "unregister", "Register the callback once, or unregister it."),
)


@dataclass(frozen=True)
class Place:
    """A line of code; `source` is its text, between the lines before and after it."""

    file: str
    line: int
    function: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The line itself, without its indentation; empty if unknown."""
        lines = self.source.split("\n")
        return (lines[1] if len(lines) == 3 else self.source).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.function}" if self.function else "")


@dataclass(frozen=True)
class Part:
    """One more line of a cause, with the share of it that the line accounts for, 0 to 1."""

    place: Place
    share: float


@dataclass(frozen=True)
class Explained:
    """The part of one gauge's growth that a cause explains, in `unit` per `per`."""

    gauge: str
    per_step: float
    low: float
    high: float
    unit: str
    share: float
    per: str = "step"

    @classmethod
    def part(cls, verdict: GaugeVerdict, share: float) -> Explained:
        """Return a share of a gauge's growth, with the same share of its interval."""
        per_step, low, high = (share * r for r in (verdict.per_step, verdict.low, verdict.high))
        return cls(verdict.gauge, per_step, low, high, verdict.unit, share, verdict.per)

    def __add__(self, other: Explained | None) -> Explained:
        """Return the sum of two parts of one gauge."""
        if other is None:
            return self
        names = ("per_step", "low", "high", "share")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True)
class Limit:
    """The limit that a cause reaches first, and the steps to it from zero, with all that leaks."""

    name: str
    value: float
    unit: str
    steps: float


@dataclass(frozen=True)
class Advice:
    """Advice on a cause; `code` is stable, `text` is for people."""

    code: str
    text: str

    @classmethod
    def of(cls, kind: str, chain: str, source: str = "") -> Advice:
        """Return what to change, by what keeps the objects and the line that makes them."""
        # The container nearest to what grows: an owner further away may keep much else.
        links = (link.removeprefix("class ") for link in reversed(chain.split(" → ")[:-1]))
        named = next((link for link in links if "." in link and " " not in link), "")
        for case, code, text in _CASES:
            if kind != CYCLES and (re.search(case, chain) or re.search(case, source)):
                return cls(code, text)
        if kind in _BY_KIND:
            code, text = _BY_KIND[kind]
            return cls(code, text.format(or_remove=f", or remove it from {named}" if named else ""))
        if named:
            return cls("bound", f"Bound {named}, or delete entries that are no longer needed.")
        return cls("release", "Find what grows at this line, or the path that does not release it.")


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One leak of a variant, with all evidence of it.

    `id` is a fingerprint of kind, file, function, source text and chain: it survives moved lines.
    """

    id: str
    kind: str
    #: What it explains, the gauge it is about first.
    gauges: tuple[Explained, ...]
    site: Place | None
    #: Share of the cause that the line accounts for, 0 to 1; None where no run measured it.
    site_share: float | None = 1.0
    #: The other lines that allocate or open some of it, the largest first.
    parts: tuple[Part, ...] = ()
    #: The line of the library that the site calls.
    library_site: Place | None = None
    #: The line that makes what is retained, where that is another one.
    created_at: Place | None = None
    #: The references from the owner to what grows by one at a time, and its type.
    chain: str = ""
    retained_type: str = ""
    limit: Limit | None = None
    advice: Advice

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, the gauges by name; of each place the line alone."""
        values = asdict(self)
        values["gauges"] = {gauge.pop("gauge"): gauge for gauge in values["gauges"]}
        values["parts"] = [
            {**asdict(part.place), "source": part.place.text, "share": part.share}
            for part in self.parts
        ]
        for name in ("site", "library_site", "created_at"):
            if place := getattr(self, name):
                values[name]["source"] = place.text
        return values


#: Codes of why a gauge grows by more than memray saw.
NOT_INTERCEPTED, FASTER = "not_intercepted", "faster"


@dataclass(frozen=True)
class Balanced:
    """The growth of one gauge: what causes explain, what none does, and the likely reason."""

    growth: float
    explained: float
    unexplained: float
    unit: str
    code: str = ""
    reason: str = ""

    @property
    def share(self) -> float:
        """The explained share of the growth, 0 to 1."""
        return self.explained / self.growth if self.growth > 0 else 0.0

    @property
    def is_unseen(self) -> bool:
        """True if it grows by more than memray saw, or did so only after memray."""
        return self.code in (NOT_INTERCEPTED, FASTER)


@dataclass(frozen=True)
class Causes:
    """All causes of a variant, the one that does harm first in front, and the balance by gauge."""

    causes: tuple[Cause, ...] = ()
    balance: dict[str, Balanced] = field(default_factory=dict)
