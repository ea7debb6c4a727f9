"""A new engine per run fills the mapper's cache of compiled statements, up to its limit.

Source: sqlalchemy/sqlalchemy#4560
Environment: current
Packages: sqlalchemy
Kind: bounded
Full: 150
Truth: grows until about step 150, and no further until step 853
"""

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    number: Mapped[int] = mapped_column(primary_key=True)


def step(i):
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Row(number=i))
        session.commit()
    engine.dispose()
