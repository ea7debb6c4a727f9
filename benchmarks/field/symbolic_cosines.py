"""Results of elementary functions stay in several caches of 1,000.

Source: sympy/sympy#4217, sympy/sympy#15778
Environment: current
Packages: sympy
Kind: bounded
Full: 1000
Truth: grows until about step 1,000, and no further until step 12,000
"""

import sympy


def step(i):
    return sympy.cos(sympy.Integer(i))
