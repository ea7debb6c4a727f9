"""With DEBUG on, the last 9,000 queries are kept.

Source: django/django#2772 (issues 3711, 6734, 12581), scrapy/scrapy#1685
Environment: current
Packages: django
Kind: bounded
Full: 9000
Truth: grows until about step 9,000, and no further until step 12,000
"""

import django
from django.conf import settings
from django.db import connection

settings.configure(
    DEBUG=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()


def step(i):
    with connection.cursor() as cursor:
        cursor.execute("select %s", [i])
        return cursor.fetchone()
