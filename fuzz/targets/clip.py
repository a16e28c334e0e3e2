"""Clips: damaged video files."""

from __future__ import annotations

from itertools import islice

import numpy as np

from d3pose_core.video import ClipReader, ClipWriter
from fuzz.folder import folder, written
from fuzz.target import Target


def seeds() -> list[bytes]:
    path = folder() / "seed.mp4"
    rng = np.random.default_rng(0)
    with ClipWriter(path, 10, (32, 24)) as writer:
        for _ in range(4):
            writer.write(rng.integers(0, 256, (24, 32, 3), np.uint8))
    # A list that names other files: it must not make FFmpeg open them.
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    return [path.read_bytes(), playlist, b"ffconcat version 1.0\nfile /etc/passwd\n"]


def run(data: bytes) -> None:
    clip = ClipReader(written("clip.mp4", data))
    last = -1.0
    for frame in islice(clip, 8):
        assert frame.time_s > last
        last = frame.time_s


TARGET = Target(
    seeds,
    run,
    (b"ftyp", b"moov", b"mdat", b"trak", b"stsz", b"stco", b"mp4v", b"avc1", b"mdhd"),
    weight=2,
)
