"""The clip that the demo plays, and which part of it.

`demo.mp4` of Sports2D (BSD-3-Clause), 1768 x 994, 30 frames/s, 230 frames, shot with a phone: a man on a
block does jumping jacks, jumps off with a somersault and lands; a woman walks by.
"""

from __future__ import annotations

from dataclasses import dataclass

from d3pose_core.video import View


@dataclass(frozen=True)
class DemoClip:
    """`name` as `d3pose models` lists it; `hfov_deg` of the whole picture, before `view` is cut out."""

    name: str
    view: View
    hfov_deg: float


# The whole height, and the width in which both people move. The phone was not calibrated: its field of
# view is that of a common main camera (26 mm equivalent, cropped for video).
DEMO_CLIP = DemoClip("demo.mp4", View(crop=(220, 0, 1325, 994), size=(800, 600)), hfov_deg=65.0)
