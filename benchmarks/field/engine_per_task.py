"""Each run of a periodic task makes an engine, and the application keeps them.

Source: facundoolano/feedi#52, milwil-2/climb-elo#183
Environment: current
Packages: sqlalchemy
Kind: leaky
Rates: fds 1, objects 119
Truth: counted from step 1,103 to 2,152; also per step: malloc 24,033 B, anonymous 41,183 B
"""

import tempfile
from pathlib import Path

from sqlalchemy import create_engine, text

FOLDER = tempfile.TemporaryDirectory()
applications = []


class Application:
    def __init__(self):
        self.engine = create_engine(f"sqlite:///{Path(FOLDER.name, 'feeds.db')}")
        applications.append(self)


def step(i):
    with Application().engine.connect() as connection:
        return connection.execute(text("select 1")).scalar()
