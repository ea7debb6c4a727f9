"""Open a memray capture of any program: tables that are read once and kept beside the file."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resleak import formatting as fmt
from resleak.analysis import wording
from resleak.analysis.rows import Rows, plain
from resleak.analysis.stacks.site import Site
from resleak.captures import storage, tables, untrusted
from resleak.captures.decode import launch
from resleak.captures.files import to_json, write_json
from resleak.captures.locks import folder_until_exit
from resleak.errors import CaptureError, StoreError

if TYPE_CHECKING:
    import pandas as pd

#: Version of the kept tables; others are read again.
SCHEMA = 3
#: Largest file beside the tables, and largest table, bytes.
_SIDE_BYTES, _MOST_KEPT = 16 << 20, 1 << 30
#: Of a run that is shorter, a rate per second says less than the total; seconds.
_SHORT_S = 10.0
_FACTS, _SUFFIX = "recording.json", ".resleak"
_OWN = re.compile(r"[a-z_]+\.(json|parquet)")
#: A folder of kept tables, and its facts.
Kept = tuple[Path, dict[str, Any]]
#: Read from the file when they are first asked for.
_LATER = {"peak", "temporary"}
#: More mapped memory than this, and than twice what was resident, was reserved and not used.
_RESERVED_BYTES = 256 * 1024**2
#: A share of bytes whose native frames were not looked up, worth a sentence.
_NOT_LOOKED_UP = 0.01
#: A share of blocks without a stack, and of native frames without source, worth a sentence.
_WITHOUT_STACK, _WITHOUT_SOURCE = 0.05, 0.5
#: A program may end this long after memray's last look at it.
_SILENCE_S, _SILENCE_SHARE = 1.0, 0.1
#: Computed while the tables are in memory: ``NAME.json`` by ``module:function``.
_SITES = {"sites": "resleak.analysis.stacks.allocation_sites:answer"}


class Recording:
    """A decoded memray file, as tables whose steps are seconds; the file may be gone.

    It can stand wherever a capture with stacks is wanted, as in ``resleak.sites([recording])``.
    """

    instrument = "memray"
    per = "s"

    def __init__(self, path: Path, folder: Path, facts: dict[str, Any]) -> None:
        self.path, self._folder, self._facts = path, folder, facts

    @property
    def integrity(self) -> list[dict[str, Any]]:
        """The facts of each process's capture: `resleak.captures.decode.any_program`."""
        processes = [dict(facts) for facts in self._facts["processes"]]
        for facts in processes:
            if not facts["declared_records"]:  # never closed: its header has no end
                facts["duration_s"] = max(facts["duration_s"], facts["last_snapshot_s"])
        return processes

    @property
    def warnings(self) -> list[str]:
        """The file's limitations, in sentences."""
        sentences = [
            f"{facts['name']}: {told}" for facts in self.integrity for told in _cautions(facts)
        ]
        sentences += [f"left out: {sentence}" for sentence in self._facts["left_out"]]
        if len(self.integrity) > 1:
            sentences.append(
                f"{len(self.integrity)} processes are added up; what one had not freed when it "
                "ended counts as retained"
            )
        if self._facts.get("elsewhere"):
            sentences.append("its folder cannot be written: tables are kept in a cache folder")
        return sentences

    def table(self, name: str) -> pd.DataFrame:
        """Read ``stacks``, ``live``, ``marks``, ``snapshots``, ``peak`` or ``temporary``."""
        if name in _LATER and not self._facts["everything"]:
            if not self.path.is_file():
                raise StoreError(f"{self.path.name} is gone, and this was not yet read from it")
            files = [self.path.with_name(name) for name, *_ in self._facts["files"]]
            kept = _store([self._folder], files, everything=True, answers=_SITES)
            self._folder, self._facts = kept
        if name == "temporary" and self.integrity[0]["aggregated"]:
            raise StoreError(f"{self.path.name} has sums only: nothing is known of what was freed")
        return tables.read_frame(self._folder / f"{name}.parquet")

    @cached_property
    def frames(self) -> pd.DataFrame:
        """Memory left at the end by innermost frame: function, file, line, bytes, count."""
        left = self.table("live").groupby("node")[["bytes", "count"]].sum()
        frame = ["function", "file", "line"]
        joined = self.table("stacks")[frame].join(left, how="inner")
        summed = joined.groupby(frame, as_index=False).sum()
        return summed.sort_values("bytes", ascending=False, ignore_index=True)

    @cached_property
    def sites(self) -> pd.DataFrame:
        """The lines whose live memory grew, as `resleak.sites` ranks them; rates are per second."""
        from resleak.analysis.stacks.allocation_sites import framed

        ranking = _read(self._folder, "sites.json")
        table = framed(ranking["columns"])
        table.attrs |= {"captures": ranking["captures"], "per": self.per}
        return table

    @cached_property
    def rows(self) -> Rows[Site]:
        """The same as `sites`, as typed rows."""
        columns = _read(self._folder, "sites.json")["columns"]
        # In JSON, null stands for what is not a number.
        numbers = [[math.nan if v is None else v for v in column] for column in columns.values()]
        values = zip(*numbers, strict=True)
        return Rows(Site, (Site(**dict(zip(columns, row, strict=True))) for row in values))

    def answer(self, name: str, function: str) -> dict[str, Any]:
        """Return what a function (``module:name``) computes from the tables, kept or now."""
        if (self._folder / f"{name}.json").is_file():
            return _read(self._folder, f"{name}.json")
        module, _, called = function.partition(":")
        return dict(getattr(import_module(module), called)(self))

    @property
    def summary(self) -> str:
        """The line that retains most, in a sentence."""
        if not self.rows:
            return "Nothing that was allocated is left."
        first, lasted = self.rows[0], max(fact["duration_s"] for fact in self.integrity)
        if lasted < _SHORT_S and first.low > 0 and first.file:
            total = fmt.amount(first.bytes_per_step * lasted, "B")
            return (
                f"{total} is left after {fmt.amount(lasted, 's')}, from {first.place} in "
                f"{first.function}, {fmt.share(first.share)} of the growth."
            )
        if any(site.low > 0 for site in self.rows):
            sentence = wording.largest_site(self.rows, self.per)
            return sentence[:1].upper() + sentence[1:]
        rate = fmt.rate(first.bytes_per_step, "B", self.per)
        return (
            f"No line grows over the whole time. Most of what is left, "
            f"{fmt.share(first.share)}, was allocated in {first.function} at "
            f"{first.place or 'an unknown place'}: {rate} on average."
        )

    @property
    def grown(self) -> Rows[Site]:
        """Those of `rows` that retain more at the end than at the beginning."""
        return Rows(Site, (site for site in self.rows if site.bytes_per_step > 0))

    def to_dict(self, top: int = 10) -> dict[str, Any]:
        """Return summary, warnings, integrity and the first sites, ready for JSON."""
        return {
            "file": self.path.name,
            "per": self.per,
            "summary": self.summary,
            "warnings": self.warnings,
            "integrity": self.integrity,
            "sites": plain(self.grown[:top]),
        }

    def __repr__(self) -> str:
        more = f"; {len(self.warnings)} to know: see .warnings" if self.warnings else ""
        return f"<Recording {self.path.name}: {', '.join(self._size())}{more}>"

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.warnings)
        size, name = escape(", ".join(self._size())), escape(self.path.name)
        more = f"<ul>{items}</ul>" if items else ""
        return f"<p><b>{name}</b>: {size}</p><p>{escape(self.summary)}</p>{more}"

    def _size(self) -> Iterator[str]:
        facts = self.integrity
        if len(facts) > 1:
            yield f"{len(facts)} processes"
        yield fmt.amount(max(fact["duration_s"] for fact in facts), "s")
        yield f"{fmt.number(sum(fact['records'] for fact in facts))} records"
        peak = max(fact["heap_peak_bytes"] for fact in facts)
        yield f"at most {fmt.amount(peak, 'B')} allocated"


def open_memray(
    path: Path | str,
    *,
    children: bool = True,
    fresh: bool = False,
    answers: Mapping[str, str] | None = None,
    packages: Path | None = None,
) -> Recording:
    """Open a file that memray wrote, of any program.

    A disposable process decodes it, so that a damaged file is only an error. The tables are kept in
    a folder ``FILE.resleak`` beside it, or else in the user's cache folder; they open at once the
    next time, also without the file.

    Parameters
    ----------
    path : Path
        The file; memray's ``.bin``.
    children : bool
        Read the files of forked children, ``FILE.<pid>``, too, below a node for each process.
    fresh : bool
        Read the file even if its tables are there.
    answers : mapping of str to str, optional
        What else to compute while the tables are in memory; see `Recording.answer`.
    packages : Path, optional
        Folder with the older memray that wrote the file, and alone reads it.

    Returns
    -------
    Recording

    Raises
    ------
    StoreError
        If the file is missing, damaged, not of memray, or of another version of it.
    """
    file = Path(path)
    forked = _children(file)
    files = [file, *(forked if children else [])]
    places = _places(file, alone=bool(forked) and not children)
    kept = None if fresh else _stored(places, files)
    if kept is None:
        # Opening a pipe would wait forever. What cannot be a name is no file either.
        if not os.path.exists(file):
            raise StoreError(f"{file.name} is missing: there is no such file")
        if not file.is_file():
            what = "a folder" if file.is_dir() else "no regular file"
            raise StoreError(f"{file.name} is {what}; give the file that memray wrote")
        more = {"answers": {**_SITES, **(answers or {})}, "packages": packages}
        kept = _store(places, files, everything=packages is not None, **more)
    return Recording(file, *kept)


def begin(file: Path, *, fresh: bool, answers: Mapping[str, str]) -> None:
    """Begin to read a file as `open_memray` will, if that is going to read it."""
    files = [file, *_children(file)]
    if fresh or _stored(_places(file, alone=False), files) is None:
        launch.begin(files, {**_SITES, **answers})


def _children(file: Path) -> list[Path]:
    beside = file.parent.glob(f"{glob.escape(file.name)}.*") if file.parent.is_dir() else []
    return sorted(f for f in beside if f.suffix[1:].isdecimal() and f.is_file())


def _stored(places: Sequence[Path], files: Sequence[Path]) -> Kept | None:
    """Return the folder with the tables of these files as they are, if there is one, and facts."""
    for folder in places:
        with suppress(StoreError):
            facts = _read_facts(folder)
            if not files[0].exists() or facts["files"] == _stamps(files):
                return folder, facts
    return None


def _places(file: Path, *, alone: bool) -> list[Path]:
    """Return where tables may be kept, the best place first."""
    name = f"{file.name}{'.alone' if alone else ''}{_SUFFIX}"
    digest = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [file.with_name(name), cache / "resleak" / f"{digest}-{name}"]


def _store(places: Sequence[Path], files: Sequence[Path], everything: bool, **more: Any) -> Kept:
    """Decode the files by `launch.any_program`, with `more` for it; return folder and facts."""
    for place in (*places, None):
        try:
            folder = place or _private_folder() / places[-1].name
            with storage.writing(folder, _is_ours) as partial:
                stamps = _stamps(files)
                facts = launch.any_program(files, partial, everything=everything, **more)
                facts |= {"schema": SCHEMA, "files": stamps, "everything": everything}
                facts |= {"elsewhere": folder.parent != files[0].parent}
                facts = to_json(facts)
                write_json(partial / _FACTS, {**facts, "digest": _digest(partial, facts)})
            return folder, facts
        except CaptureError as error:
            failed = error
    raise StoreError(str(failed))


#: For where nothing else can be written.
_private_folder = cache(folder_until_exit)


def _is_ours(folder: Path, _place: Path) -> bool:
    """Return True if a folder holds the tables of a memray file, of any version, and no more."""
    with suppress(StoreError):
        is_alone = all(_OWN.fullmatch(path.name) for path in folder.iterdir())
        return is_alone and isinstance(_read(folder, _FACTS).get("schema"), int)
    return False


def _stamps(files: Sequence[Path]) -> list[list[Any]]:
    if not files[0].exists():
        return []
    stats = [(file.name, file.stat()) for file in files]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def _read_facts(folder: Path) -> dict[str, Any]:
    facts = _read(folder, _FACTS)
    if facts.get("schema") != SCHEMA:
        raise StoreError(f"{folder.name} is of another version")
    if facts.pop("digest", "") != _digest(folder, facts):
        raise StoreError(f"{folder.name} is damaged")
    return facts


def _digest(folder: Path, facts: Mapping[str, Any]) -> str:
    """Return a digest of what is kept: damaged tables are read again from the file."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in sorted(folder.iterdir()):
        if path.name != _FACTS:
            digest.update(f"{path.name}\n".encode())
            digest.update(untrusted.content(path, _MOST_KEPT))
    return digest.hexdigest()


def _read(folder: Path, name: str) -> dict[str, Any]:
    with suppress(StoreError, ValueError):
        content = untrusted.parsed(untrusted.content(folder / name, _SIDE_BYTES))
        if isinstance(content, dict):
            return content
    raise StoreError(f"{folder.name} has no readable tables")


def _cautions(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the limitations of one capture, from the facts that its decoder counted."""
    if facts["aggregated"]:
        yield (
            "it was written as AGGREGATED_ALLOCATIONS, which has sums only: it tells what was left "
            "at the end and what was live at the peak, but neither growth over time nor temporary "
            "allocations; rates are what was left, divided by the time it ran"
        )
    read, declared = facts["records"], facts["declared_records"]
    silence_s = facts["duration_s"] - facts["last_snapshot_s"]
    if not facts["aggregated"] and not declared:
        yield (
            "it was never closed, so the program was killed or still runs: what is here ends at "
            f"{fmt.amount(facts['last_snapshot_s'], 's')}"
        )
    elif not facts["aggregated"] and read != declared:
        part = fmt.share(read / declared)
        yield f"it is cut off: it has {part} of the {fmt.number(declared)} records it had"
    elif silence_s > max(_SILENCE_S, _SILENCE_SHARE * facts["duration_s"]):
        yield (
            f"memray last looked at {fmt.amount(facts['last_snapshot_s'], 's')} of "
            f"{fmt.amount(facts['duration_s'], 's')}: what came after has no times, or is missing"
        )
    if facts["heap_off_bytes"]:
        off = fmt.amount(facts["heap_off_bytes"], "B")
        yield f"its changes and its totals differ by up to {off}: it is damaged, or was misread"
    if facts["without_stack"] > _WITHOUT_STACK:
        yield (
            f"{fmt.share(facts['without_stack'])} of the blocks have no Python stack: threads "
            "that run no Python, or code that called sys.setprofile, as profilers and debuggers do"
        )
    looked_up, with_source = facts["looked_up"], facts["with_source"]
    if facts["native"] and looked_up < 1 - _NOT_LOOKED_UP:
        yield (
            f"native frames were looked up for {fmt.share(looked_up)} of the bytes; the other "
            "stacks end in <native>"
        )
    if facts["native"] and with_source < 1 - _WITHOUT_SOURCE:
        yield (
            f"{fmt.share(1 - with_source)} of the native frames have no source file: the "
            "libraries lack debug information, or are not those of the recording"
        )
    if not facts["python_objects"]:
        yield (
            "Python's own allocator was not traced: small objects show as the 1 MiB arenas they "
            "are in, at the line that needed a new one; record with --trace-python-allocators"
        )
    mapped, rss = facts["mapped_peak_bytes"], facts["rss_peak_bytes"]
    if mapped > max(2 * rss, _RESERVED_BYTES):
        yield (
            f"{fmt.amount(mapped, 'B')} were mapped, but at most {fmt.amount(rss, 'B')} were "
            "ever resident: an allocator reserved address space, which is no leak; for pyarrow's, "
            "record with ARROW_DEFAULT_MEMORY_POOL=system"
        )
