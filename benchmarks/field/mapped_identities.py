"""Rows become objects of one long session; what it notes of each transaction is freed in turn.

Source: sqlalchemy/sqlalchemy#4560
Environment: current
Packages: sqlalchemy
Kind: bounded
Full: 200
Truth: a saw-tooth of 200 objects; no higher at step 4,000 than at step 1,200
"""

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def setup():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    session = Session(engine)
    session.add_all(Row(number=n, text=f"row {n}") for n in range(2_000))
    session.commit()
    session.expunge_all()
    return session


def step(i, session):
    few = select(Row).where(Row.number >= i % 1_900).limit(10)
    return len(session.scalars(few).all())
