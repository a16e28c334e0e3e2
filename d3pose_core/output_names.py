"""File names for things that others named."""

from __future__ import annotations

from hashlib import sha256

_MOST_SHOWN = 100  # characters; file systems allow 255 bytes


def file_name(name: str, suffix: str) -> str:
    """One file's name for any text, the same for the same text: what of it makes a good name, and a hash.

    It leads to no other folder whatever the text is (`../x`, `/etc/passwd`), and two texts never to one file.
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return f"{plain[:_MOST_SHOWN]}-{sha256(name.encode()).hexdigest()[:8]}{suffix}"
