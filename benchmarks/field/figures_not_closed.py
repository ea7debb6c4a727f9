"""Every report draws a figure, and pyplot keeps all of them.

Source: matplotlib/matplotlib#23701
Environment: current
Packages: matplotlib
Kind: leaky
Rates: objects 2300
Truth: TODO
"""

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot


def sketched(values):
    figure = pyplot.figure(figsize=(3, 2))
    figure.add_axes((0, 0, 1, 1), xticks=[], yticks=[]).plot(values)


def step(i):
    sketched([1, i % 7, 2])
