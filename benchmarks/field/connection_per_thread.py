"""Connections are made per thread and registered, and outlive the short threads.

Source: r-spade/ormah#83, openai/openai-agents-python#5090
Environment: plain
Kind: leaky
Rates: fds 1, objects 11
Truth: counted from step 6,565 to 12,000; also per step: malloc 105,629 B, anonymous 103,347 B
"""

import sqlite3
import tempfile
import threading
from pathlib import Path

FOLDER = tempfile.TemporaryDirectory()


class Index:
    def __init__(self):
        self.local = threading.local()
        self.connections = []

    def connection(self):
        if not hasattr(self.local, "connection"):
            file = Path(FOLDER.name, "index.db")
            self.local.connection = sqlite3.connect(file, check_same_thread=False)
            self.connections.append(self.local.connection)
        return self.local.connection

    def maintain(self):
        self.connection().execute("select count(*) from sqlite_master").fetchone()


index = Index()


def step(i):
    worker = threading.Thread(target=index.maintain)
    worker.start()
    worker.join()
