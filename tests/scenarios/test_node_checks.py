"""Each Node check counts what its scenario's row says of the original language."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import pytest

from resleak.captures import node_results
from resleak.captures.node_results import NodeResult
from resleak.errors import CaptureError, PlatformError, StoreError
from resleak.experiments import node_checks

STORED = Path(__file__).parents[2] / "data" / "captures"
CHECKS = node_checks.paths()
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node 20")


@cache
def counts(name: str) -> NodeResult:
    return node_checks.run(CHECKS[name])


@needs_node
@pytest.mark.slow
@pytest.mark.xdist_group("node")
class TestCounts:
    def test_reader_keeps_sockets_until_it_is_cancelled_or_fetch_gives_up(self):
        """An error in a line keeps each socket, a hang-up too until fetch gives up; else none."""
        result = counts("load_shedding/stream_reader")
        kept = {
            moment: {name for name, count in result.variants.items() if count[moment] == 50}
            for moment in ("at_once", "later")
        }
        hung_up = {"leaky_hung_up_silent", "proposed_hung_up_silent"}
        malformed = {"leaky_malformed_silent", "leaky_malformed_large"}
        assert kept == {"at_once": hung_up | malformed, "later": {"leaky_malformed_large"}}
        assert sum(sum(count.values()) for count in result.variants.values()) == 5 * 50
        assert (result.outcome, result.fix) == ("partly", "holds")
        assert result.readings == {"proposed_hung_up": "insufficient"}

    def test_agent_keeps_its_sockets_until_it_is_destroyed(self):
        """A shared agent keeps four sockets; a dropped one its own, until the server closes it."""
        variants = counts("load_shedding/keepalive_sockets").variants
        assert set(variants["leaky"].values()) == {4}
        assert variants["proposed"] == {"sockets": 0}
        assert variants["leaky_agent_per_burst"] == {"sockets": 20}
        assert variants["leaky_agent_per_burst_server_default"] == {"sockets": 0}

    def test_counter_drifts_and_refuses_nobody(self):
        """Finish and close together make the counter negative, which never refuses a request."""
        variants = counts("load_shedding/active_requests").variants
        assert variants["leaky"]["active_at_end"] < 0
        assert variants["leaky"]["shed_wrongly"] == 0
        assert variants["leaky"]["admitted_over_limit"] > 0
        assert set(variants["proposed"].values()) == {0}

    def test_idle_server_that_leaks_nothing_has_a_high_share(self):
        """An idle server that leaks nothing shows a higher share of its heap than a leaking one."""
        variants = counts("load_shedding/heap_share").variants
        assert variants["leaky"]["idle_share_highest"] > 0.7
        assert variants["leaky"]["idle_growth_bytes"] < 1e6
        assert variants["leaking"]["idle_growth_bytes"] > 1e7
        assert variants["leaking"]["idle_share_lowest"] < variants["leaky"]["idle_share_lowest"]
        assert all(variant["share_of_heap_limit"] < 0.05 for variant in variants.values())

    def test_rollback_switches_stop_no_timer(self):
        """Both timers run with both switches off; with the options passed on none does."""
        variants = counts("load_shedding/rollback_switches").variants
        assert variants["proposed"] == variants["default"]
        assert variants["default"] == {"prune_interval_ms": 300000, "timers": 2}
        assert variants["fixed"] == {"prune_interval_ms": 0, "timers": 0}

    def test_stream_nobody_reads_stays_open(self):
        """The printed function leaks a descriptor per stream that is neither read nor cancelled."""
        variants = counts("pl_drivers/read_local_file").variants
        assert variants["leaky_never_read"]["descriptors_after_collection"] == 50
        assert variants["leaky_read_to_its_end"]["descriptors_after_collection"] == 0
        assert variants["leaky_cancelled"]["descriptors_after_collection"] == 0

    def test_reads_at_once_fail_unless_a_slot_is_kept_until_the_stream_closes(self):
        """Without a limit reads fail, with one around the call too; unread streams block slots."""
        variants = counts("pl_drivers/read_local_file").variants
        failing = {name for name, count in variants.items() if count.get("failed")}
        assert failing == {"leaky", "proposed_around_the_call"}
        waiting = {name for name, count in variants.items() if count.get("waiting")}
        assert waiting == {"proposed_some_unread"}

    def test_stream_that_fails_is_closed(self):
        """The printed error path leaves no descriptor; a reader closed without its stream does."""
        variants = counts("pl_drivers/last_lines").variants
        left = {name: count["descriptors"] for name, count in variants.items()}
        assert left == {"leaky": 0, "leaky_closed_early": 50, "fixed": 0}

    def test_aborted_pipe_closes_its_file_and_leaves_it(self):
        """An aborted pipeTo() leaves its partial file and no descriptor."""
        variants = counts("pl_drivers/zip_write_abort").variants
        assert variants["leaky"] == {"descriptors": 0, "files_left": 100}
        assert variants["fixed"] == {"descriptors": 0, "files_left": 0}

    def test_file_handle_of_a_failed_write_is_collected(self):
        """FileHandles of failed writes stay open at first, and none after a collection."""
        result = counts("pl_drivers/sparse_file")
        variants = result.variants
        leaky, fixed = variants["leaky_write_fails"], variants["fixed_write_fails"]
        assert leaky["failed"] == fixed["failed"] == 50
        assert leaky["descriptors"] > fixed["descriptors"] == 0
        assert leaky["descriptors_after_collection"] <= 1
        is_error = int(result.node.removeprefix("v").partition(".")[0]) >= 25
        assert (leaky["uncaught"] > 0) == is_error
        assert fixed["uncaught"] == leaky["uncaught"]  # none more
        assert variants["leaky"]["peak_descriptors"] > 100

    def test_worker_and_timer_keep_the_process_alive(self):
        """A worker and a timer hang the exit; stopping the worker first loses no row."""
        variants = counts("embedder/worker_keeps_process_alive").variants
        hanging = {name for name, count in variants.items() if count["hangs"]}
        assert hanging == {"leaky", "leaky_timer"}
        losing = {name for name, count in variants.items() if count["rows_lost"]}
        assert losing == {"leaky", "forced"}
        assert variants["forced"]["rows_lost"] == 50

    def test_process_exit_hangs_only_in_a_native_call(self):
        """process.exit(0) waits for a native call, and for nothing else; without it all hang."""
        variants = counts("embedder/process_exit").variants
        hanging = {name for name, count in variants.items() if count["hangs"]}
        assert hanging == {"no_exit_call", "leaky_worker_in_call", "leaky_pool_in_call"}
        assert len(variants) == 9

    def test_memory_limit_counts_plain_objects_only(self):
        """A limit refuses kept objects, and garbage if it is low, but nothing outside V8's heap."""
        variants = counts("embedder/resource_monitor").variants
        assert variants["proposed_50_mb_exposed"]["refused"] == 0
        assert (variants["proposed"]["refused"] > 0) == (variants["proposed"]["peak_mb"] > 200)
        outside = [variants[f"proposed_keeps_{kind}"] for kind in ("arrays", "wasm")]
        assert [(one["refused"], one["rss_mb"] > 400) for one in outside] == [(0, True)] * 2
        assert variants["proposed_keeps_objects"]["refused"] > 10
        assert variants["proposed_50_mb"]["refused"] > 10
        assert variants["proposed_50_mb_cleans_up"]["refused"] > 10
        assert variants["proposed_handles"]["active_handles"] == 0

    @pytest.mark.parametrize("name", CHECKS)
    def test_outcome_is_the_one_stored(self, name):
        """With every version of Node claim, fix and other readings come out alike."""
        result, kept = counts(name), node_results.read(STORED / name)
        assert kept is not None
        assert (result.outcome, result.fix, result.readings) == (
            kept.outcome,
            kept.fix,
            kept.readings,
        )


def test_every_check_is_tested_and_stored():
    """Each check has a test, a stored result, and a scenario beside it or a row of its own."""
    tested = Path(__file__).read_text(encoding="utf-8")
    for name, path in CHECKS.items():
        assert f'"{name}"' in tested
        result = node_results.read(STORED / name)
        assert result is not None
        assert path.with_suffix(".py").is_file() == (result.row is None)


def test_checks_use_nothing_but_the_standard_library():
    """A check imports modules of Node and the helper beside it only."""
    for path in CHECKS.values():
        sources = [
            line.split(" from ")[1].strip(' ;"')
            for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith("import ")
        ]
        assert all(one.startswith("node:") or one == "../_check.mjs" for one in sources), path


def test_missing_node_is_one_clear_line(monkeypatch, tmp_path):
    """Without Node nothing is run or stored, and the error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError, match="install Node 20"):
        node_checks.run_all(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_node
@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("process.exit(3)", CaptureError, "code 3"),
        ("console.log('no JSON')", StoreError, "not the result"),
        ('console.log(\'{"node": "v20"}\')', StoreError, "not the result"),
    ],
)
def test_check_that_fails_says_so(tmp_path, program, error, words):
    """A check that crashes or prints something else is an error, not a result."""
    path = tmp_path / "check.mjs"
    path.write_text(program)
    with pytest.raises(error, match=words):
        node_checks.run(path)


@pytest.mark.parametrize(
    "change",
    [
        {"summary": "x" * 501},
        {"summary": "one\nline"},
        {"summary": 3},
        {"outcome": "proved"},
        {"fix": "<b>holds</b>"},
        {"readings": {"proposed": "<b>holds</b>"}},
        {"readings": ["holds"]},
        {"variants": {"leaky": {"sockets": "50"}}},
        {"variants": [1]},
        {"more": 1},
        {"row": {"seed": "1"}},
    ],
)
def test_damaged_result_is_refused(tmp_path, change):
    """A stored result that is not of the expected shape is an error that names the file."""
    sound = {"node": "v20", "summary": "0", "outcome": None, "fix": None, "variants": {}}
    (tmp_path / node_results.NAME).write_text(json.dumps({**sound, **change}))
    with pytest.raises(StoreError, match=r"node\.json"):
        node_results.read(tmp_path)
