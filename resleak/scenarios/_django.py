"""A Django project in code: settings and URLs without files, its database, its ASGI app."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

#: One database in memory for all threads: Django gives each request a thread of its own.
_DATABASE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": "file:streaming?mode=memory&cache=shared",
    "OPTIONS": {"uri": True},
}
_SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["*"],
    "SECRET_KEY": "not a secret",
    "MIDDLEWARE": [],
    "LOGGING_CONFIG": None,
    "INSTALLED_APPS": ["resleak.scenarios._streaming"],
    "DATABASES": {"default": _DATABASE},
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
}


def application(**views: Any) -> Any:
    """Return an ASGI app whose views answer at ``/<their name>``."""
    import types

    import django
    from django.conf import settings
    from django.urls import path

    urls: Any = types.ModuleType("urls")
    urls.urlpatterns = [path(name, view) for name, view in views.items()]
    settings.configure(ROOT_URLCONF=urls, **_SETTINGS)
    django.setup()
    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # counted instead of logged
    from django.core.handlers.asgi import ASGIHandler

    return ASGIHandler()


async def migrate() -> None:
    """Create the tables, in memory; they last as long as the thread that created them."""
    from django.core.management import call_command

    await asyncio.to_thread(call_command, "migrate", verbosity=0)
