"""XML parsers that are kept: a few kilobytes of native memory each."""

from xml.parsers import expat

from _work import pair


def acquire(_step, _size):
    parser = expat.ParserCreate()
    parser.Parse("<a/>")
    return parser


scenario = pair(
    acquire,
    leaks="native",
    natural=8000,
    workloads=[{"rate": 8000.0}, {"rate": 500.0, "beside": 1.0}],
)
