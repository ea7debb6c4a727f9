"""A store of runs: the record is the commit point, and one key is stored once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from resleak.captures import storage, untrusted
from resleak.captures.frames import Capture, Captures
from resleak.captures.manifest import Manifest
from resleak.captures.names import inside
from resleak.captures.store import MARKER
from resleak.captures.store.objects import Objects
from resleak.captures.store.record import KEY, Record, RunSpec, parse
from resleak.captures.tables import FILE_BYTES
from resleak.errors import StoreError

_LAYOUT = b'{"layout": 1}\n'
#: Requests at a time: most of their time is waiting.
_REQUESTS = 16
_SWEEP_BYTES = 256 << 20


class Store:
    """Runs at a URL, by key.

    ``runs/KK/KEY.json`` is the record of a run, created last and only once; ``tables/KK/KEY/…`` has
    the tables of one attempt. ``compacted`` can be deleted at any time.
    """

    def __init__(self, url: str) -> None:
        self.objects = Objects(url)
        self.url = self.objects.url

    @classmethod
    def opened(cls, url: str) -> Store:
        """Return the store at a URL, or raise StoreError if there is none."""
        store = cls(url)
        if store.objects.read(MARKER, 4096) != _LAYOUT:
            raise StoreError(f"there is no store at {url}; `resleak sweep PLAN --store` makes one")
        return store

    @classmethod
    def made(cls, url: str) -> Store:
        """Return the store at a URL, which is made if there is nothing yet."""
        store = cls(url)
        if store.objects.read(MARKER, 4096) is None:
            if store.objects.names(""):
                message = f"{url} is neither empty nor a store; choose another --store"
                raise StoreError(message)
            try:
                store.objects.create(MARKER, _LAYOUT)
            except FileNotFoundError:
                raise StoreError(f"there is no bucket at {url}; make it first") from None
        return cls.opened(url)

    def keys(self) -> set[str]:
        """Return the keys of all stored runs."""
        names = (name.rpartition("/")[2] for name in self.objects.names("runs"))
        return {key for name in names if KEY.fullmatch(key := name.removesuffix(".json"))}

    def has(self, key: str) -> bool:
        """Return True if a run is stored."""
        return self.objects.read(_record(key), untrusted.JSON_BYTES) is not None

    def put(
        self, spec: RunSpec, manifest: Manifest, tables: Iterable[Path], seconds: float, host: str
    ) -> bool:
        """Store a run; return False if it is stored already."""
        attempt, files, size = secrets.token_hex(8), {}, 0
        for path in tables:
            data = path.read_bytes()
            self.objects.create(_table(spec.key, attempt, path.name), data)
            files[path.name], size = hashlib.sha256(data).hexdigest(), size + len(data)
        record = Record(
            spec=spec, manifest=manifest, attempt=attempt, files=files, size=size,
            seconds=round(seconds, 3), host=host,
        )  # fmt: skip
        if self.objects.create(_record(spec.key), record.to_json()):
            return True
        # A request may succeed although its answer is lost: then the record is ours.
        if self.record(spec.key).attempt == attempt:
            return True
        self.objects.remove([_table(spec.key, attempt, name) for name in files])
        return False

    def record(self, key: str) -> Record:
        """Return the checked record of a run, or raise StoreError."""
        data = self.objects.read(_record(key), untrusted.JSON_BYTES)
        if data is None:
            raise StoreError(f"the store has no run {key}")
        try:
            return parse(data, key)
        except ValueError as error:
            raise StoreError(f"run {key} in the store is damaged ({error})") from None

    def records(self, keys: Iterable[str]) -> Iterator[Record]:
        """Yield the records of runs, several requests at a time."""
        with ThreadPoolExecutor(_REQUESTS) as pool:
            yield from pool.map(self.record, keys)

    def table(self, record: Record, name: str) -> bytes:
        """Return a table of a run, or raise StoreError if it is not the one that was stored."""
        data = self.objects.read(_table(record.key, record.attempt, name), FILE_BYTES)
        if data is None or hashlib.sha256(data).hexdigest() != record.files[name]:
            raise StoreError(f"{name} of run {record.key} in the store is missing or damaged")
        return data

    def fetch(self, records: Iterable[Record], root: Path) -> Captures:
        """Write runs as capture folders below a folder, and return them."""

        def written(record: Record) -> Capture:
            spec = record.spec
            name = f"{spec.instrument}-{spec.run:02d}-{record.key[:8]}"
            folder = inside(root, spec.scenario, spec.variant, name)
            folder.mkdir(parents=True, exist_ok=True)
            for table in record.files:
                (folder / table).write_bytes(self.table(record, table))
            storage.write_manifest(folder, record.manifest)
            return Capture(folder)

        with ThreadPoolExecutor(_REQUESTS) as pool:
            return Captures(pool.map(written, records))

    def note(self, kind: str, name: str, value: object) -> None:
        """Write a note: ``sweeps`` or ``failures``, by name."""
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", errors="replace")
        self.objects.write(f"{kind}/{name}.json", data)

    def notes(self, kind: str, prefix: str = "") -> dict[str, Any]:
        """Return the notes of a kind by name; damaged ones are left out."""
        notes: dict[str, Any] = {}
        for path in self.objects.names(kind):
            name = path.rpartition("/")[2].removesuffix(".json")
            data = self.objects.read(path, _SWEEP_BYTES) if name.startswith(prefix) else None
            try:
                notes |= {name: untrusted.parsed(data)} if data is not None else {}
            except ValueError:
                continue
        return notes


def _record(key: str) -> str:
    return f"runs/{key[:2]}/{key}.json"


def _table(key: str, attempt: str, name: str) -> str:
    return f"tables/{key[:2]}/{key}/{attempt}-{name}"
