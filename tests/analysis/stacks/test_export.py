"""Exports, read back by other means than those that wrote them."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import hypothesis
import hypothesis.strategies as st
import pytest
from helpers import profiles

from resleak.analysis.stacks import profile
from resleak.analysis.stacks.export import collapsed, pprof, speedscope
from resleak.captures import load
from resleak.captures.decode.trie import HARNESS

MAIN, LOAD, KEEP = ("main", "app.py", 3), ("load", "app.py", 9), ("keep", "lib/k.py", 4)
#: Bytes in each of four windows of ten steps, beside one block.
KNOWN = {(MAIN, LOAD): 3000.0, (MAIN, LOAD, KEEP): 125.0, (MAIN, KEEP): -700.0, (MAIN,): 2.0}
ODD = (("f;g\n<module> 12", "a b\tc;.py", 1), ("λ\u2028x", "", 0))

#: What speedscope publishes of the fields of its files, as far as sampled profiles go.
SCHEMA = {
    "type": "object",
    "required": ["$schema", "shared", "profiles"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "name": {"type": "string"},
        "exporter": {"type": "string"},
        "activeProfileIndex": {"type": "integer"},
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "file": {"type": "string"},
                            "line": {"type": "integer"},
                            "col": {"type": "integer"},
                        },
                    }
                }
            },
        },
        "profiles": {
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    *("type", "name", "unit", "startValue", "endValue", "samples", "weights")
                ],
                "properties": {
                    "type": {"const": "sampled"},
                    "name": {"type": "string"},
                    "unit": {"enum": ["none", "bytes"]},
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "samples": {"items": {"items": {"type": "integer", "minimum": 0}}},
                    "weights": {"items": {"type": "number", "minimum": 0}},
                },
            },
        },
    },
}

#: The messages of pprof that matter here: field numbers, names and types, as published.
MESSAGES = {
    "ValueType": [(1, "type", "int64"), (2, "unit", "int64")],
    "Sample": [(1, "location_id", "*uint64"), (2, "value", "*int64")],
    "Line": [(1, "function_id", "uint64"), (2, "line", "int64")],
    "Location": [(1, "id", "uint64"), (4, "line", "*Line")],
    "Function": [
        *((1, "id", "uint64"), (2, "name", "int64")),
        *((3, "system_name", "int64"), (4, "filename", "int64")),
    ],
    "Profile": [
        *((1, "sample_type", "*ValueType"), (2, "sample", "*Sample")),
        *((4, "location", "*Location"), (5, "function", "*Function")),
        *((6, "string_table", "*string"), (13, "comment", "*int64")),
        *((14, "default_sample_type", "int64"),),
    ],
}


def parsed(content: bytes) -> Any:
    """Return a pprof file as Google's own library for Protocol Buffers reads it."""
    read = profile_message()()
    read.ParseFromString(gzip.decompress(content))
    from google.protobuf import unknown_fields

    assert not len(unknown_fields.UnknownFieldSet(read))
    return read


@cache
def profile_message() -> Any:
    pytest.importorskip("google.protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="p.proto", package="p", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            added = message.field.add(name=field, number=number)
            added.label = 3 if kind.startswith("*") else 1
            scalars = {"int64": 3, "uint64": 4, "string": 9}
            added.type = scalars.get(kind.strip("*"), 11)
            if added.type == 11:
                added.type_name = f".p.{kind.strip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Profile"))


def stacks_of(read: Any) -> dict[tuple[tuple[str, str, int], ...], tuple[int, ...]]:
    """Return the values of each stack of a pprof file, the root first."""
    text = list(read.string_table)
    functions = {f.id: (text[f.name], text[f.filename]) for f in read.function}
    places = {at.id: (*functions[at.line[0].function_id], at.line[0].line) for at in read.location}
    return {
        tuple(places[number] for number in reversed(sample.location_id)): tuple(sample.value)
        for sample in read.sample
    }


def test_speedscope_gets_frames_and_weights_of_its_published_form() -> None:
    """The file has speedscope's fields, each stack that grew once, and its rate per step."""
    file = json.loads(speedscope(profiles.made_up(KNOWN), "my run"))
    fastjsonschema.validate(SCHEMA, file)
    names = [(frame["name"], frame["file"], frame["line"]) for frame in file["shared"]["frames"]]
    bytes_, blocks = file["profiles"]
    stacks = [tuple(names[place] for place in sample) for sample in bytes_["samples"]]
    assert dict(zip(stacks, bytes_["weights"], strict=True)) == {
        **{(MAIN,): 0.2, (MAIN, LOAD): 300.0, (MAIN, LOAD, KEEP): 12.5}
    }
    assert bytes_["endValue"] == pytest.approx(312.7)
    assert (bytes_["name"], bytes_["unit"]) == ("my run: bytes per step", "bytes")
    assert blocks["weights"] == [0.1, 0.1, 0.1]


def test_collapsed_stacks_are_a_line_each() -> None:
    """Stacks are written root first with whole bytes per step; less than half a byte is none."""
    assert collapsed(profiles.made_up(KNOWN)).decode().splitlines() == [
        "main (app.py:3);load (app.py:9) 300",
        "main (app.py:3);load (app.py:9);keep (lib/k.py:4) 12",
    ]


def test_collapsed_stacks_survive_odd_names() -> None:
    """Semicolons, line ends of any kind and spaces in names leave one line with two frames."""
    text = collapsed(profiles.made_up({ODD: 100.0})).decode()
    assert text == "f,g <module> 12 (a b c,.py:1);λ x 10\n"


def test_pprof_is_read_by_googles_own_library() -> None:
    """Stacks, values, units and the type to show first are read back as they were."""
    read = parsed(pprof(profiles.made_up(KNOWN), "my run"))
    text = list(read.string_table)
    assert [(text[kind.type], text[kind.unit]) for kind in read.sample_type] == [
        *(("blocks_per_1000_steps", "count"), ("bytes_per_step", "bytes"))
    ]
    assert stacks_of(read) == {
        **{(MAIN,): (100, 0), (MAIN, LOAD): (100, 300), (MAIN, LOAD, KEEP): (100, 12)}
    }
    assert text[0] == ""
    assert text[read.default_sample_type] == "bytes_per_step"
    assert [text[place] for place in read.comment] == ["my run"]


def test_the_same_profile_gives_the_same_bytes() -> None:
    """No time of writing is in any of the files."""
    one = profiles.made_up(KNOWN)
    for export in (speedscope, collapsed, pprof):
        assert export(one) == export(one)


def test_nothing_grown_is_an_empty_file_of_each_kind() -> None:
    """A profile without growth, or without any window, is valid and without stacks."""
    for empty in (profiles.made_up({}), profiles.made_up({(MAIN,): -5.0}), profile([])):
        file = json.loads(speedscope(empty))
        fastjsonschema.validate(SCHEMA, file)
        assert file["profiles"][0]["samples"] == []
        assert collapsed(empty) == b""
        assert not parsed(pprof(empty)).sample


_TEXT = st.text(max_size=8)
_STACKS = st.dictionaries(
    st.lists(st.tuples(_TEXT, _TEXT, st.integers(0, 2**31 - 1)), min_size=1, max_size=4).map(tuple),
    st.integers(1, 2**50).map(float),
    max_size=6,
)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(_STACKS)
def test_any_names_and_sizes_survive(stacks: dict[Any, float]) -> None:
    """Whatever frames are called, each format can be read, with the same sum of bytes."""
    made = profiles.made_up(stacks)
    frames_of = json.loads(speedscope(made))["shared"]["frames"]
    assert {frame["name"] for frame in frames_of} == {f[0] for stack in stacks for f in stack}
    lines = collapsed(made).decode().split("\n")
    assert lines.pop() == ""
    assert all(re.fullmatch(r"[^\n\r]* \d+", line) for line in lines)
    whole = [round(4 * size / 40) for size in stacks.values()]
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == sum(whole)
    read = stacks_of(parsed(pprof(made)))
    assert {stack: values[1] for stack, values in read.items()} == dict(
        zip(stacks, whole, strict=True)
    )


def test_a_stored_leak_is_exported_whole(project: Path) -> None:
    """Of a real capture, the bytes of the three files agree with the growth of its own stacks."""
    stored = load.load(project / "data" / "captures" / "arc" / "auth_cache")
    leaky = profile(stored.select(variant="leaky"))
    grown = leaky.changes.groupby("node")["bytes"].sum() / (leaky.edges[-1] - leaky.edges[0])
    is_its_own = leaky.frames["function"].iloc[grown.index].to_numpy() != HARNESS
    expected = float(grown[(grown > 0) & is_its_own].sum())
    assert expected < grown[grown > 0].sum()
    file = json.loads(speedscope(leaky))
    fastjsonschema.validate(SCHEMA, file)
    assert file["profiles"][0]["endValue"] == pytest.approx(expected)
    sizes = [int(line.rpartition(" ")[2]) for line in collapsed(leaky).decode().splitlines()]
    assert sum(sizes) == pytest.approx(expected, abs=0.5 * len(grown))
    values = [sample.value[1] for sample in parsed(pprof(leaky)).sample]
    assert sum(values) == sum(sizes)
