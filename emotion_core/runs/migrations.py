"""The schema of run.json and the steps that bring an older one up to it, one number at a time.

A run on the disk is never rewritten: it is migrated as it is read. A change of what run.json means raises SCHEMA and
adds the step from the number before to MIGRATIONS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCHEMA = 1

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From schema n to n + 1, by n."""


def migrated(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec` as SCHEMA has it. Raises ValueError for one of a newer app, KeyError for one that has no way up."""
    schema = int(spec["schema"])
    if schema > SCHEMA:
        raise ValueError(f"schema {schema}")
    while schema < SCHEMA:
        spec = MIGRATIONS[schema](dict(spec))
        schema += 1
    return spec
