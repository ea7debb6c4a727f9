"""Templates are memorised by their text, and the texts contain the name of the user.

Source: pallets/flask#2402
Environment: current
Packages: jinja2
Kind: leaky
Rates: objects 6, blocks 22
Truth: counted from step 3,362 to 6,741; also per step: malloc 815 B, anonymous 2,760 B
"""

from jinja2 import Environment

environment = Environment(autoescape=True)
compiled = {}


def rendered(source, **values):
    if source not in compiled:
        compiled[source] = environment.from_string(source)
    return compiled[source].render(**values)


def step(i):
    return rendered(f"Dear customer {i}, you owe {{{{ amount }}}}.", amount=i)
