"""Makes the table of tasks."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]  # Django ships no types
    """The first one."""

    initial = True
    operations: ClassVar[list[migrations.CreateModel]] = [
        migrations.CreateModel(
            name="StreamTask",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("message", models.CharField(max_length=200)),
            ],
        )
    ]
