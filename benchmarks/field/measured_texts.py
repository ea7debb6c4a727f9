"""The extents of each text that is drawn stay in a cache of 4,096.

Source: matplotlib/matplotlib#28827
Environment: current
Packages: matplotlib
Kind: bounded
Full: 4096
Truth: grows until about step 4,096, and no further until step 12,000
"""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

figure = Figure(figsize=(2, 1), dpi=50)
renderer = FigureCanvasAgg(figure).get_renderer()


def step(i):
    label = figure.text(0, 0, f"value {i}")
    label.get_window_extent(renderer)
    label.remove()
