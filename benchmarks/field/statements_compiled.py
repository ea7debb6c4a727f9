"""Statements of differing shape are compiled, and kept in a cache of 500 (pruned at 750).

Source: sqlalchemy/sqlalchemy#9506, home-assistant/core#71015
Environment: current
Packages: sqlalchemy
Kind: bounded
Full: 750
Truth: 500 to 750 entries in turn; at equal length, no type of object grew in 2,000 steps
"""

from sqlalchemy import create_engine, literal, select

engine = create_engine("sqlite://")


def step(i):
    with engine.connect() as connection:
        return connection.execute(select(literal(i).label(f"column_{i}"))).scalar()
