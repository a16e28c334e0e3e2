"""Makes clips of all kinds, and writes them as a shard for `MotionLibrary`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from d3pose_core.recording import atomic_path
from d3pose_core.skeleton import JOINT_PARENTS
from tools.make_motions.checks import faults
from tools.make_motions.clip import Clip
from tools.make_motions.kinds import KINDS
from tools.make_motions.rig import J, mirror, mirror_name, rig
from tools.make_motions.rotations import about, matrix, rotvec

_POSE_SCALE = 1e-4  # rad: +-3.27 rad in 16 bits
_SECONDS = 3600
_MOST_TRIES = 200
LICENCE = "CC0-1.0"


def make_clips(kinds: dict[str, float], hours: float, seed: int) -> Iterator[tuple[str, Clip, int]]:
    """(kind, clip, how many were thrown away for it) until each kind has its share of the hours."""
    total = sum(kinds.values())
    for kind, weight in kinds.items():
        # Each kind has its own random numbers: asking for other kinds beside it changes nothing.
        rng = np.random.default_rng([seed, list(KINDS).index(kind)])
        left = hours * _SECONDS * SHARD_FPS * weight / total
        while left > 0:
            clip, tries = _good_clip(kind, rng)
            left -= len(clip.pose)
            yield kind, clip, tries


def _good_clip(kind: str, rng: np.random.Generator) -> tuple[Clip, int]:
    for tries in range(_MOST_TRIES):
        clip = KINDS[kind].perform(rng)
        broken = faults(clip)
        if not broken:
            return _anywhere(clip, rng), tries
    raise RuntimeError(
        f"{kind}: none of {_MOST_TRIES} clips keeps to the rules; the last: {broken}"
    )


def _anywhere(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip, or its mirror image, facing any way; it starts at x = z = 0."""
    pose, root, planted = clip.pose, clip.root, clip.planted
    if rng.random() < 0.5:
        pose, root = mirror(pose), root * [-1, 1, 1]
        planted = {mirror_name(side): frames for side, frames in planted.items()}
    turn = about(1, rng.uniform(-np.pi, np.pi))
    pose = pose.copy()
    pose[:, 0] = rotvec(turn @ matrix(pose[:, 0]))
    return Clip(pose, (root - root[0] * [1, 0, 1]) @ turn.T, planted)


def write_shard(path: Path, clips: list[tuple[str, Clip]]) -> None:
    """The fields of the recorded shards; all clips are for training."""
    if not clips:
        raise ValueError("no clips to write; ask for more hours")
    count = len(clips)
    names = [f"procedural/{kind}_{number:04d}" for number, (kind, _) in enumerate(clips)]
    with atomic_path(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(
            file,
            pose_i16=np.concatenate(
                [np.rint(c.pose.reshape(-1, 72) / _POSE_SCALE).astype(np.int16) for _, c in clips]
            ),
            pose_scale=np.float32(_POSE_SCALE),
            root=np.concatenate([c.root for _, c in clips]).astype(np.float32),
            contact=np.concatenate([_contact(c) for _, c in clips]),
            start=np.concatenate([[0], np.cumsum([len(c.pose) for _, c in clips])]),
            fps=np.float32(SHARD_FPS),
            name=np.array(names),
            source=np.array(["procedural"] * count),
            licence=np.array([LICENCE] * count),
            subject=np.array(["procedural"] * count),
            split=np.array(["train"] * count),
            label=np.array([f"procedural_{kind}" for kind, _ in clips]),
            text=np.array([kind.replace("_", " ") for kind, _ in clips]),
            skel_J=rig().rest.astype(np.float32),
            parents=np.array(JOINT_PARENTS),
        )


def _contact(clip: Clip) -> np.ndarray:
    """[F, 4] uint8 of l_ankle r_ankle l_foot r_foot: near the floor and slow."""
    _, joints = rig().pose(matrix(clip.pose), clip.root)
    feet = joints[:, [J[f"{s}_{n}"] for n in ("ankle", "foot") for s in ("left", "right")]]
    rest = rig().rest[[J["left_ankle"]] * 2 + [J["left_foot"]] * 2, 1] - rig().floor
    speed = np.linalg.norm(np.diff(feet, axis=0, prepend=feet[:1]), axis=-1) * SHARD_FPS
    return ((feet[..., 1] < rest + 0.03) & (speed < 0.15)).astype(np.uint8)
