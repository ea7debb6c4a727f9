"""What concerns this machine alone is found in text, and nothing else is touched."""

from __future__ import annotations

import pytest

from resleak.report.redact import Redactor

ENVIRONMENT = {
    "API_TOKEN": "abcd",
    "AGENT": "build-agent-17",
    "MODE": "production",
    "NAME": "arc/auth_cache",
    "DB_PASSWORD": "p&ss<word>",
    "LANG": "en_US.UTF-8",
}


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(["/home/al ice", "/srv/project"], "alice", "buildbox", ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("see /home/al ice/Mine/x.py, line 3", "see [path]/x.py, line 3"),
        ("/srv/project/data/captures", "[path]"),
        ('File "/usr/lib/python3.11/json/decoder.py"', 'File "[path]/decoder.py"'),
        ("file:///tmp/report.html", "[path]/report.html"),
        ("written to /tmp.", "written to [path]."),
        (r"C:\Users\bob\x.py", "[path]/x.py"),
        ("alice@buildbox", "[user]@[host]"),
        ("key abcd, agent build-agent-17", "key [env API_TOKEN], agent [env AGENT]"),
        ("p&amp;ss&lt;word&gt; and p&ss<word>", "[env DB_PASSWORD] and [env DB_PASSWORD]"),
    ],
)
def test_what_is_private_is_replaced(redactor, text, redacted):
    """Paths, names and values of the environment are replaced, and the rest is kept."""
    assert redactor.text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "POST /api/v1/write",
        "../data/captures",
        "<site-packages>/httpx/_client.py",
        "https://example.org/home/page",
        "/proc/self/fd and /dev/null",
        "production, malice, buildboxes, arc/auth_cache, en_US.UTF-8",
        "1/usr/2, and/or, 3 / 4",
    ],
)
def test_what_only_looks_private_is_kept(redactor, text):
    """Routes, relative paths, addresses and common words are left as they are."""
    assert redactor.text(text) == text
    assert redactor.summary() == "nothing"


def test_trees_are_walked_but_numbers_are_not_cut(redactor):
    """Text is replaced at any depth; encoded numbers and pictures pass untouched."""
    encoded = {"bdata": "+/tmp/abcd+alice", "image/png": "/tmp/"}
    tree = {"a": ["alice", {"b": "/tmp/x"}], "/tmp/y": 1, **encoded}
    redacted = {"a": ["[user]", {"b": "[path]"}], "[path]": 1, **encoded}
    assert redactor.tree(tree) == redacted


def test_replacements_are_counted_by_kind(redactor):
    """The summary says how many of each kind were replaced."""
    redactor.text("/tmp/a /tmp/b alice")
    assert redactor.summary() == "2 paths, 1 user name"


def test_common_names_are_no_names():
    """A user called root, or a host called localhost, does not blacken every such word."""
    redactor = Redactor([], "root", "localhost", {})
    assert redactor.text("the root of localhost") == "the root of localhost"


def test_here_knows_this_machine(monkeypatch):
    """Without being told, it finds this user's name and this process's environment."""
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("BUILD_TOKEN", "t0ken")
    assert Redactor.here().text("somebody t0ken") == "[user] [env BUILD_TOKEN]"


TRACEBACK = """Traceback (most recent call last):
  File "mine.py", line 3, in step
    connect(password="hunter2")
    ~~~~~~~^^^^^^^^^^^^^^^^^^^^
  File "mine.py", line 9, in connect
ValueError: no"""


def test_source_lines_of_tracebacks_are_kept_only_if_asked(redactor):
    """The line that a traceback quotes goes, with its markers; place and error stay."""
    told = redactor.text(TRACEBACK)
    assert "hunter2" not in told
    assert told.count("[source line]") == redactor.found["source line"] == 1
    assert 'File "mine.py", line 9, in connect\nValueError: no' in told
    keeping = Redactor([], "", "", {}, source=True)
    assert keeping.text(TRACEBACK) == TRACEBACK


def test_controls_are_named_and_colours_kept(redactor):
    """What turns the reading direction, or cannot be seen, shows as its number."""
    assert redactor.text("a\u202eb\x07\u2066c") == "a⟨U+202E⟩b⟨U+0007⟩⟨U+2066⟩c"
    assert redactor.summary() == "3 control characters"
    assert redactor.text("\x1b[31mred\x1b[0m\n\té") == "\x1b[31mred\x1b[0m\n\té"
