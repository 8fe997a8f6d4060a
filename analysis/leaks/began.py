"""Since when water has flowed, of an alert: before its condition was noticed, as well as the rule can tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def began(detail: Mapping[str, Any], noticed: datetime) -> datetime:
    """Return the ``since`` of an alert's detail where there is one, else when its condition was noticed (UTC)."""
    text = detail.get("since")
    if not isinstance(text, str):
        return noticed
    try:
        since = datetime.fromisoformat(text)
    except ValueError:
        return noticed
    return min(since, noticed) if since.tzinfo is not None else noticed
