"""Nothing happens."""

from _work import benign

scenario = benign(lambda *_: None)
