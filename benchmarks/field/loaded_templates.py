"""The environment keeps the last 400 templates that it has loaded.

Source: paulomtts/pyjinhx#799
Environment: current
Packages: jinja2
Kind: bounded
Full: 400
Truth: grows until about step 400, and no further until step 7,976
"""

from jinja2 import Environment, FunctionLoader

environment = Environment(loader=FunctionLoader(lambda name: f"{name}: {{{{ amount }}}}"))


def step(i):
    return environment.get_template(f"letter {i}").render(amount=i)
