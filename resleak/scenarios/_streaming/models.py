"""The task whose events a view streams."""

from __future__ import annotations

from django.db import models


class StreamTask(models.Model):  # type: ignore[misc]  # Django ships no types
    """A task with a message, kept in the database."""

    message = models.CharField(max_length=200)

    class Meta:
        app_label = "_streaming"
