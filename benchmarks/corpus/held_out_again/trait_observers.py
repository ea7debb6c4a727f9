"""Views that observe the settings and do not stop when they are closed."""

import traitlets
from _work import pair


class Settings(traitlets.HasTraits):
    theme = traitlets.Unicode("light")


class View:
    def __init__(self, size):
        self.picture = bytes(size)

    def redraw(self, change):
        return change, self.picture


settings = Settings()


def acquire(_, size):
    view = View(size)
    settings.observe(view.redraw, names="theme")
    return view


scenario = pair(
    acquire,
    lambda view: settings.unobserve(view.redraw, names="theme"),
    leaks="heap",
    natural=270,
    workloads=[{"rate": 350.0}, {"rate": 5000.0, "pattern": "late"}, {"rate": 40.0, "noise": 500}],
)
