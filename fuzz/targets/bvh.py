"""Motion capture as BVH text, up to SMPL's rotations."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.datasets.bvh import read_bvh
from d3pose_core.data.datasets.retarget import retarget
from fuzz.folder import written
from fuzz.target import Target

_CHAINS = (
    ("Spine", "Neck", "Head"),
    *(
        chain
        for side in ("Left", "Right")
        for chain in (
            (f"{side}UpLeg", f"{side}Leg", f"{side}Foot"),
            (f"{side}Arm", f"{side}ForeArm", f"{side}Hand"),
        )
    ),
)


def seeds() -> list[bytes]:
    """A person of chains from the hips, two frames."""
    rotation = "CHANNELS 3 Zrotation Xrotation Yrotation"
    lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0"]
    lines.append("CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation")
    for number, chain in enumerate(_CHAINS):
        for depth, name in enumerate(chain):
            x, y = (number - 2) * 10.0 * (depth == 0), 10.0 if number == 0 else -10.0
            lines += [f"JOINT {name}", "{", f"OFFSET {x} {y} 1", rotation]
        lines += ["End Site", "{", "OFFSET 0 1 0", "}"] + ["}"] * len(chain)
    lines += ["}", "MOTION", "Frames: 2", "Frame Time: 0.033"]
    count = 6 + 3 * sum(map(len, _CHAINS))
    lines += [" ".join(str(frame + 0.5) for _ in range(count)) for frame in range(2)]
    return ["\n".join(lines).encode()]


def run(data: bytes) -> None:
    skeleton = read_bvh(written("take.bvh", data))
    with np.errstate(all="ignore"):
        pose, transl = retarget(skeleton, "take.bvh")
    assert pose.shape == (len(transl), 24, 3)


TARGET = Target(
    seeds,
    run,
    (
        *(
            b"ROOT",
            b"JOINT",
            b"End Site",
            b"{",
            b"}",
            b"OFFSET",
            b"CHANNELS",
            b"MOTION",
            b"Frames:",
        ),
        *(b"Frame Time:", b"999999999999", b"-1", b"nan", b"inf", b"1e308", b"Xposition"),
        *(b"Wrotation", b"\n"),
    ),
)
