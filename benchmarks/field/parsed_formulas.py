"""The last 50 formulas that were parsed are kept.

Source: matplotlib/matplotlib#13019
Environment: current
Packages: matplotlib
Kind: bounded
Full: 4096
Truth: grows until about step 4,096, and no further until step 533
"""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

figure = Figure(figsize=(2, 1), dpi=50)
renderer = FigureCanvasAgg(figure).get_renderer()


def step(i):
    label = figure.text(0, 0, rf"$\mathbf{{{i}}}$")
    label.get_window_extent(renderer)
    label.remove()
