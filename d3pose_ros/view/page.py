"""The live page, put together from the scripts of d3pose_core/viewer."""

from __future__ import annotations

import json
from functools import lru_cache

from d3pose_core.viewer.pack import asset, constants


@lru_cache(maxsize=1)
def live_page() -> str:
    """The whole page as HTML; it loads nothing but the body and the packets, from where it came from."""
    parts = {
        "style": asset("style.css"),
        "facts": json.dumps(constants()).replace("</", "<\\/"),
        "script": "\n".join(asset(name) for name in ("scene.js", "body.js", "strip.js", "live.js")),
    }
    page = asset("live.html")
    for name, text in parts.items():
        page = page.replace(f"@{name}@", text)
    return page
