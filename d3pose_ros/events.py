"""One JSON object a line on stdout: what the demo's processes tell the one that started them."""

from __future__ import annotations

import json
from typing import Any


def emit(event: str, **values: Any) -> None:
    """Write one event."""
    print(json.dumps({"event": event, **values}), flush=True)


def parse(line: str) -> dict[str, Any] | None:
    """An event, or None for any other line (a library's greeting)."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
