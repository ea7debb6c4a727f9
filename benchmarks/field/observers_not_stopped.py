"""Each cached function starts an observer of its folder and stops none.

Source: python-cachier/cachier#24, gorakhargosh/watchdog#846
Environment: current
Packages: watchdog
Kind: leaky
Rates: threads 3, fds 3
Truth: 3 threads, 3 descriptors per step, until the limit of 128 inotify instances per user
"""

import tempfile

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

FOLDER = tempfile.TemporaryDirectory()
observers = []


def step(i):
    try:
        observer = Observer()
        observer.schedule(FileSystemEventHandler(), FOLDER.name)
        observer.start()
    except OSError:  # the limit of inotify instances per user
        return
    observers.append(observer)
