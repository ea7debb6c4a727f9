"""A store of runs: written once, never half, checked on reading."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import sweeps

from resleak.captures import tables
from resleak.captures.store import index, objects
from resleak.captures.store.record import parse
from resleak.captures.store.store import Store
from resleak.errors import StoreError


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, sweeps.s3(patch) as url:
        yield url


@pytest.fixture(params=["folder", "memory", "s3"])
def url(request, tmp_path, bucket):
    name = secrets.token_hex(4)
    places = {"folder": str(tmp_path / "store"), "memory": f"memory://{name}"}
    return places.get(request.param, f"{bucket}/{name}")


def trace(folder: Path) -> Path:
    path = folder / "trace.parquet"
    tables.write_table(path, {"t_s": np.arange(3.0), "step": np.arange(3)}, {})
    return path


def test_a_run_comes_back_as_it_was_stored(url, tmp_path):
    """A stored run has the same manifest and tables when it is fetched."""
    store, of = Store.made(url), sweeps.spec()
    assert sweeps.put(store, of, trace(tmp_path))
    assert store.keys() == {of.key}
    (capture,) = Store.opened(url).fetch([store.record(of.key)], tmp_path / "fetched")
    assert capture.manifest == sweeps.manifest(of)
    assert (capture.path / "trace.parquet").read_bytes() == trace(tmp_path).read_bytes()


def test_of_two_runs_with_one_key_one_wins(url, tmp_path):
    """The second run of a key reports that it exists, and leaves nothing behind."""
    store, of = Store.made(url), sweeps.spec()
    path = trace(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: sweeps.put(store, of, path), range(4)))
    assert sorted(made) == [False, False, False, True]
    assert len(store.objects.names("tables")) == 1


def test_a_run_without_its_record_is_not_there(url, tmp_path):
    """What a killed worker wrote before its record is not read, and does not hinder the next."""
    store, of = Store.made(url), sweeps.spec()
    path = f"tables/{of.key[:2]}/{of.key}/{secrets.token_hex(8)}-trace.parquet"
    store.objects.create(path, b"half a tab")
    assert not store.has(of.key)
    assert not store.keys()
    assert sweeps.put(store, of, trace(tmp_path))


def test_the_key_has_no_time_host_or_path():
    """Equal questions have equal keys; every part of a question changes the key."""
    keys = {sweeps.spec().key}
    assert keys == {sweeps.spec(params={"size": 3}).key}
    changes = {"run": 2, "seed": 1, "steps": 61, "params": {"size": 4}, "digest": "ba9876543210"}
    changes |= {"environment": "0123456789ab", "python": "3.12.1", "variant": "fixed", "schema": 2}
    keys |= {sweeps.spec(**{name: value}).key for name, value in changes.items()}
    assert len(keys) == len(changes) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attempt": "../../etc"}, "not tables"),
        ({"files": {"../x.parquet": "0"}}, "not tables"),
        ({"files": {"x.txt": "0"}}, "not tables"),
        ({"seconds": "long"}, "must be a number"),
        ({"spec": {}}, "says nothing of"),
        ({"manifest": {"schema": 99}}, "has schema"),
    ],
)
def test_a_foreign_record_is_checked(tmp_path, change, message):
    """A record that is not as we write it is refused with one line."""
    store, of = Store.made(str(tmp_path / "s")), sweeps.spec()
    sweeps.put(store, of)
    path = tmp_path / "s" / "runs" / of.key[:2] / f"{of.key}.json"
    record = json.loads(path.read_text()) | change
    with pytest.raises(ValueError, match=message):
        parse(json.dumps(record).encode(), of.key)
    path.write_text(json.dumps(record))
    with pytest.raises(StoreError, match=f"run {of.key} in the store is damaged"):
        store.record(of.key)


def test_a_record_answers_its_own_key_only(tmp_path):
    """A record under another key, or with another run's manifest, is refused."""
    store = Store.made(str(tmp_path / "s"))
    of, other = sweeps.spec(), sweeps.spec(run=2)
    sweeps.put(store, of)
    data = store.objects.read(f"runs/{of.key[:2]}/{of.key}.json", 1 << 20)
    with pytest.raises(ValueError, match="its key is not that of its contents"):
        parse(data, other.key)
    store.put(other, sweeps.manifest(of), [], 1.0, "host")
    with pytest.raises(StoreError, match="that of another run"):
        store.record(other.key)


def test_a_changed_table_is_noticed(tmp_path):
    """A table that differs from what was stored is refused."""
    store, of = Store.made(str(tmp_path / "s")), sweeps.spec()
    sweeps.put(store, of, trace(tmp_path))
    (name,) = store.objects.names("tables")
    (tmp_path / "s" / name).write_bytes(b"PAR1 other")
    with pytest.raises(StoreError, match=r"missing or damaged"):
        store.fetch([store.record(of.key)], tmp_path / "f")


def test_a_pipe_in_a_store_is_not_waited_for(tmp_path):
    """A pipe in the place of a file is refused in one line, and replaced by what is written."""
    store = Store.made(str(tmp_path / "s"))
    sweeps.put(store, sweeps.spec(), trace(tmp_path))
    for name in ("compacted/current.json", "sweeps/a.json"):
        (tmp_path / "s" / name).parent.mkdir()
        os.mkfifo(tmp_path / "s" / name)
    for reads in (lambda: index.read(store, "runs"), lambda: store.notes("sweeps")):
        with pytest.raises(StoreError, match=r"^/\S+\.json is not a regular file$"):
            reads()
    store.note("sweeps", "a", [1])
    assert store.notes("sweeps") == {"a": [1]}


def test_what_is_not_a_store_is_left_alone(tmp_path):
    """A folder with other files is refused; so is reading where there is no store."""
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(StoreError, match="neither empty nor a store"):
        Store.made(str(tmp_path))
    with pytest.raises(StoreError, match="there is no store"):
        Store.opened(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_credentials_do_not_go_into_the_url():
    """A URL with credentials is refused, and they are not repeated."""
    with pytest.raises(StoreError, match="credentials") as error:
        Store("s3://me:hunter2@bucket/store")
    assert "hunter2" not in str(error.value)


def test_a_missing_bucket_is_one_line(bucket):
    """A bucket that does not exist is named, with what to do."""
    with pytest.raises(StoreError, match=r"no bucket at .* make it first"):
        Store.made("s3://nobody-made-this/store")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "ExpiredToken", "refuses access: renew the credentials"),
        (403, "AccessDenied", "refuses access: renew the credentials"),
        (503, "SlowDown", "does not answer"),
    ],
)
def test_a_store_that_fails_is_one_line(monkeypatch, status, code, message):
    """Expired credentials and a store that is too busy are one line, which repeats no secret."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    monkeypatch.setattr(objects, "_PAUSES_S", (0.01, 0.01))
    with sweeps.failing_s3(monkeypatch, status, code) as url:
        with pytest.raises(StoreError, match=rf"^the store at {url} {message}[^\n]*$") as error:
            Store.made(url)
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in str(error.value)
        assert error.value.__cause__ is None


def test_a_store_that_is_busy_for_a_while_loses_nothing(monkeypatch, tmp_path):
    """Requests that fail or last long are repeated; each run is stored once, and reads whole."""
    monkeypatch.setattr(objects, "_PAUSES_S", (0.0, 0.0, 0.0))
    store, calls = Store.made(f"memory://{secrets.token_hex(4)}"), Counter()

    class Busy(type(store.objects._fs)):
        cachable = False

        def pipe_file(self, path, *arguments, **options):
            self._wait(path)
            super().pipe_file(path, *arguments, **options)

        def cat_file(self, path, *arguments, **options):
            self._wait(path)
            return super().cat_file(path, *arguments, **options)

        def _wait(self, path: str) -> None:
            time.sleep(0.001)
            calls[path] += 1
            if calls[path] % 3:
                raise OSError("503 SlowDown")

    store.objects._fs = Busy()
    file, keys = trace(tmp_path), [sweeps.spec(run=number) for number in range(1, 11)]
    assert all(sweeps.put(store, of, file) for of in keys)
    assert not any(sweeps.put(store, of, file) for of in keys)
    assert store.keys() == {of.key for of in keys}
    read = {store.table(one, file.name) for one in store.records(store.keys())}
    assert read == {file.read_bytes()}


def test_a_read_only_store_is_judged_and_not_written(tmp_path):
    """A store inside a zip file is read as it is; writing to it is one line."""
    of = sweeps.spec()
    sweeps.put(Store.made(str(tmp_path / "s")), of, trace(tmp_path))
    packed = Path(shutil.make_archive(str(tmp_path / "s"), "zip", tmp_path / "s"))
    before, store = packed.read_bytes(), Store.opened(f"zip://::{packed}")
    with pytest.raises(StoreError, match=r"^the store at zip://[^\n]*$"):
        sweeps.put(store, sweeps.spec(run=2), trace(tmp_path))
    assert packed.read_bytes() == before
    assert Store.opened(f"zip://::{packed}").keys() == {of.key}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_store_is_one_line(tmp_path, monkeypatch):
    """A store without space says so at once, and a later run completes it."""
    store, of = Store.made(str(tmp_path / "s")), sweeps.spec()
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: write(Path("/dev/full"), data))
    with pytest.raises(StoreError, match="is full; free space"):
        sweeps.put(store, of)
    monkeypatch.undo()
    assert not store.keys()
    assert sweeps.put(store, of)
