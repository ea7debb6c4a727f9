"""Parsed documents that are kept: allocated in a library, kept by a list."""

import json

from _beside import beside

documents = []


def leak(step, size):
    text = json.dumps({"id": step, "body": "x" * size})
    documents.append(json.loads(text))  # leak


scenario = beside(leak, natural=350)
