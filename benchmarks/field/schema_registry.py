"""Schemas made at run time are registered by name, and never forgotten.

Source: marshmallow-code/marshmallow#732, marshmallow-code/webargs#101
Environment: current
Packages: marshmallow
Kind: leaky
Rates: objects 100
Truth: TODO
"""

from marshmallow import Schema, fields


def step(i):
    form = type(f"Form{i}", (Schema,), {"amount": fields.Integer()})
    return form().load({"amount": i})
