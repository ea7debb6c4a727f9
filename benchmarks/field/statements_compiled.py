"""Statements of differing shape are compiled, and kept in a cache of 500 (pruned at 750).

Source: sqlalchemy/sqlalchemy#9506, home-assistant/core#71015
Environment: current
Packages: sqlalchemy
Kind: bounded
Full: 750
Truth: grows until about step 750, and no further until step 7,276
"""

from sqlalchemy import create_engine, literal, select

engine = create_engine("sqlite://")


def step(i):
    with engine.connect() as connection:
        return connection.execute(select(literal(i).label(f"column_{i}"))).scalar()
