"""A Django project in code: settings and addresses without files, and its ASGI app."""

from __future__ import annotations

import logging
from typing import Any

_SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["*"],
    "SECRET_KEY": "not a secret",
    "MIDDLEWARE": [],
    "LOGGING_CONFIG": None,
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
    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # answers are counted instead
    from django.core.handlers.asgi import ASGIHandler

    return ASGIHandler()
