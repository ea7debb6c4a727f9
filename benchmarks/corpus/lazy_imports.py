"""Modules that are imported when they are first needed, until all are there."""

import importlib

from _work import benign

NAMES = [
    "csv",
    "configparser",
    "plistlib",
    "mailbox",
    "xmlrpc.client",
    "xmlrpc.server",
    "wave",
    "tarfile",
    "zipfile",
    "gzip",
    "lzma",
    "bz2",
    "http.client",
    "http.cookies",
    "http.server",
    "html.parser",
    "ftplib",
    "imaplib",
    "smtplib",
    "poplib",
    "nntplib",
    "telnetlib",
    "turtledemo",
    "difflib",
    "doctest",
    "unittest",
    "pdb",
    "profile",
    "cProfile",
    "pstats",
    "timeit",
    "trace",
    "tracemalloc",
    "cmd",
    "code",
    "codeop",
    "pprint",
    "reprlib",
    "graphlib",
    "decimal",
    "fractions",
    "statistics",
    "sched",
    "curses.ascii",
    "netrc",
    "uuid",
    "secrets",
]


def step(number, run):
    index = number // run.params.every
    if number % run.params.every == 0 and index < len(NAMES):
        try:
            importlib.import_module(NAMES[index])
        except ImportError:
            return


scenario = benign(step, every=1, workloads=[{"every": 1}, {"every": 3}])
