"""What concerns this machine alone is found in text, and nothing else is touched."""

from __future__ import annotations

import time

import pytest

from resleak.report.redact import Redactor

ENVIRONMENT = {
    "API_TOKEN": "abcd",
    "MYSQL_PWD": "correcthorse",
    "BYPASS": "true",
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
        ("xcorrecthorse_1 correcthorse", "x[env MYSQL_PWD]_1 [env MYSQL_PWD]"),
        ("xbuild-agent-17y", "x[env AGENT]y"),
        ("<td>/srv/.ssh/id_rsa</td>", "<td>[path]</td>"),
        ("a=1,/etc/shadow", "a=1,[path]"),
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
        "production, true, abcde, malice, buildboxes, arc/auth_cache, en_US.UTF-8",
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
    assert told.count("[source line]") == redactor.counts["source line"] == 1
    assert 'File "mine.py", line 9, in connect\nValueError: no' in told
    keeping = Redactor([], "", "", {}, source=True)
    assert keeping.text(TRACEBACK) == TRACEBACK.replace('"hunter2"', "[secret]")


def test_controls_are_named_and_colours_kept(redactor):
    """What turns the reading direction, or cannot be seen, shows as its number."""
    assert redactor.text("a\u202eb\x07\u2066c") == "a⟨U+202E⟩b⟨U+0007⟩⟨U+2066⟩c"
    assert redactor.summary() == "3 control characters"
    assert redactor.text("\x1b[31mred\x1b[0m\n\té") == "\x1b[31mred\x1b[0m\n\té"


HTML = (
    '<table class="dataframe"><tr><td>/srv/.ssh/id_rsa</td><td title="/etc/x &amp; alice">alice'
    "</td><td>p&amp;ss&lt;word&gt; &lt;/tmp/y&gt;</td></tr></table>"
)


def test_html_is_redacted_as_text(redactor):
    """Text and attributes of HTML are redacted as a reader sees them, and its markup stays."""
    assert redactor.html(HTML) == (
        '<table class="dataframe"><tr><td>[path]</td><td title="[path] &amp; [user]">[user]'
        "</td><td>[env DB_PASSWORD] &lt;/tmp/y&gt;</td></tr></table>"
    )
    clash = Redactor([], "table", "dataframe", {"X_TOKEN": "class"})
    assert clash.html(HTML).startswith('<table class="[host]"><tr><td>')


KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq83v\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("ghp_" + "a1B2" * 9 + " x", "[GitHub Token] x"),
        (f"bearer {JWT}.", "bearer [JSON Web Token]."),
        ("id AKIAIOSFODNN7EXAMPLE in", "id [AWS Access Key] in"),
        ("postgres://me:hunter2!$@db.example/x", "postgres://me:[password]@db.example/x"),
        ("https://x.example/?token=abc&n=1", "https://x.example/?token=[secret]&n=1"),
        ("host=db password=hunter2 port=1", "host=db password=[secret] port=1"),
        ("connect(password='hunter 2')", "connect(password=[secret])"),
        ("npm_" + "a1B2" * 9, "[npm token]"),
        ("github_pat_" + "a1B2" * 9 + " x", "[access token] x"),
        ("sk-proj-" + "a1B2" * 9, "[access token]"),
        ("AIza" + "a1B2c" * 7, "[access token]"),
        ("hf_" + "abcd" * 9, "[access token]"),
        ("pypi-" + "a1B2" * 15, "[access token]"),
        ("Authorization: Bearer 9f8e7d6c5b4a", "Authorization: [secret]"),
        ("{'authorization': 'Basic dXNlcjpodW50'}", "{'authorization': '[secret]'}"),
        ("Cookie: session=abc123; a=b", "Cookie: [secret]"),
        ("X-Api-Key: xk12345678zzyy", "X-Api-Key: [secret]"),
        ('{"password": "hunter2xyz"}', '{"password": "[secret]"}'),
        (r"{\"client_secret\": \"hunter2xyz\"}", r"{\"client_secret\": \"[secret]\"}"),
        ("db_password = 'hunter2xyz'", "db_password = '[secret]'"),
        ("host: db\n  password: hunter2xyz\n", "host: db\n  password: [secret]\n"),
        ("AccountKey=Zm9vYmFy;", "AccountKey=[secret];"),
        ("print('password: hunter2xyz')", "print('password: [secret]')"),
        ("db: {user: bob, dbPassword: hunter2!xyz}", "db: {user: bob, dbPassword: [secret]}"),
        (r"'host: db\npassword: batterystaple\n'", r"'host: db\npassword: [secret]\n'"),
        ("INFO access_token: a1b2c3d4, next", "INFO access_token: [secret], next"),
        ("[db]\npassword = hunter2xyz\n", "[db]\npassword = [secret]\n"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=[secret] psql"),
        ("curl --api-token a1b2c3d4e5", "curl --api-token [secret]"),
        ("{'accessToken': 'a1b2c3d4'}", "{'accessToken': '[secret]'}"),
        ("secret_key: a1b2c3d4 # old", "secret_key: [secret] # old"),
        ("xoxb-123-456-abc", "[Slack Token]"),
        (f"a\n{KEY}\nb", "a\n[private key]\nb"),
        (KEY[:60], "[private key]"),
    ],
)
def test_well_known_tokens_are_found(redactor, text, redacted):
    """Tokens, keys and passwords of known forms are replaced wherever they come from."""
    assert redactor.text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "key=lambda row: row.name, password=None, token=False",
        "https://example.org/a:b@c",
        "the cookie: a text that the browser keeps; the password: see below",
        "def authorization(token: str) -> dict[str, str]: ...",
        "    password: str | None = None",
        "def f(token: bytes, password: np.float64, *, secret: Optional[str]) -> None:",
        "if key: value2\nif password: check_password2(user1)",
        "password = get_password(user2); token = tokens[12]; secret = settings['key1']",
        "print(f'password: {password1}', '%s: %s' % (password, token1))",
        "max_tokens: 100000, token: 12345678",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "resleak/scenarios/arc/auth_cache.py:8 in serve, 12.5 KiB per step",
    ],
)
def test_what_only_looks_like_a_token_is_kept(redactor, text):
    """Digests, addresses, places in code and settings are left as they are."""
    assert redactor.text(text) == text


@pytest.mark.parametrize("part", ["eyJ", "sk-", "xoxb-1-", "://", "//", "AKIA", "-----BEGIN ",
    "password: ", "password: a1", "--a-token ", "passwor", "cookie=", "token='",
    "authorization: "])  # fmt: skip
def test_a_hostile_text_takes_linear_time(redactor, part):
    """Doubling a text made for backtracking does not quadruple the time."""
    times = []
    for size in (40_000, 160_000):
        begin = time.process_time()
        redactor.text(part * (size // len(part)))
        times.append(time.process_time() - begin)
    assert times[1] < 10 * times[0]
