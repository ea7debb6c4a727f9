"""Formulas are laid out: 50 are kept, but the fonts keep every glyph that was ever loaded.

Source: matplotlib/matplotlib#13019
Environment: current
Packages: matplotlib
Kind: leaky
Rates: malloc 4700
Truth: counted from step 1,722 to 3,223: malloc 4,747 B, anonymous 4,745 B per step, no object
"""

from matplotlib.mathtext import MathTextParser

parser = MathTextParser("path")


def step(i):
    return parser.parse(rf"$\mathbf{{x_{{{i}}}}}$").width
