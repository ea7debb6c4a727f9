"""Notebook to one file: execute, collect, redact, write."""

#: ``NAME.json`` beside the tables of a memray file, by the function that computes it meanwhile.
ANSWERS = {"drawing": "resleak.figures.flame.payload:answer"}
