"""Where the feet are: planted, and moved step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions.curves import smooth
from tools.make_motions.legs import Foot
from tools.make_motions.rig import SIDES

_MIDDLE_M = 0.06  # from the ball back to where a foot carries the weight


@dataclass(frozen=True)
class Step:
    side: str
    start: float  # s
    end: float  # s
    place: tuple[float, float]  # m, x and z of the ball
    yaw: float  # rad
    lift: float = 0.07  # m


def stance(
    width: float, toes_out: float, ahead: float = 0.0
) -> dict[str, tuple[float, float, float]]:
    """x, z, yaw of both feet, the left one `ahead` m before the right."""
    return {
        "left": (width / 2, ahead / 2, toes_out),
        "right": (-width / 2, -ahead / 2, -toes_out),
    }


def walk(
    frames: int, start: dict[str, tuple[float, float, float]], steps: list[Step], knee_out: float
) -> tuple[dict[str, Foot], np.ndarray]:
    """Both feet, and the share of the weight that the left one carries [frames]."""
    times = np.arange(frames) / SHARD_FPS
    share = np.full(frames, 0.5)
    feet = {}
    for side in SIDES:
        ball, yaw = np.zeros((frames, 3)), np.zeros(frames)
        planted = np.ones(frames)
        now = np.array(start[side])  # x, z, yaw
        ball[:, [0, 2]], yaw[:] = now[:2], now[2]
        for step in (s for s in steps if s.side == side):
            u = np.clip((times - step.start) / (step.end - step.start), 0, 1)
            ease = u**3 * (10 - 15 * u + 6 * u**2)
            moving, later = (u > 0) & (u < 1), u > 0
            then = np.array([*step.place, step.yaw])
            path = now + (then - now) * ease[:, None]
            ball[later, 0], ball[later, 2], yaw[later] = path[later].T
            ball[moving, 1] = step.lift * np.sin(np.pi * u[moving]) ** 2
            planted[moving] = 0
            # The other foot carries the weight, until a long step makes the body fall into it.
            far = min(1.0, float(np.hypot(*(then - now)[:2])) / 0.8)
            alone = (times > step.start - 0.25) & (u < 0.9 - 0.6 * far)
            share[alone] = 0.0 if side == "left" else 1.0
            now = then
        zero = np.zeros(frames)
        feet[side] = Foot(ball, yaw, zero, smooth(planted, 0.05), zero.copy(), zero + knee_out)
    return feet, smooth(share, 0.18)


def weight_point(foot: Foot) -> np.ndarray:
    """[F, 2] x, z of where a foot carries the weight, on the floor."""
    forward = np.stack([np.sin(foot.yaw), np.cos(foot.yaw)], 1)
    return foot.ball[:, [0, 2]] - _MIDDLE_M * np.cos(foot.heel)[:, None] * forward


def support(feet: dict[str, Foot], left_share: np.ndarray) -> np.ndarray:
    """[F, 2] between both feet's weight points."""
    share = left_share[:, None]
    return share * weight_point(feet["left"]) + (1 - share) * weight_point(feet["right"])
