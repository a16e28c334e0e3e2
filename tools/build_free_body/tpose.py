"""MakeHuman's rest pose (arms sloping down, feet turned out) -> one common T-pose.

Every person is brought to the same limb directions, so that the shape space to be fitted holds
shape alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from d3pose_core.skeleton import JOINT_NAMES
from tools.build_free_body.geometry import rotate, rotation_about, shortest_rotation, unit
from tools.build_free_body.makehuman import Adults, Rig

# Directions of the left limbs in the T-pose, SMPL frame: rounded, anatomical-looking values.
THIGH = unit(np.array([0.09, -1.0, 0.0]))
SHIN = unit(np.array([-0.03, -1.0, -0.09]))
UPPER_ARM = unit(np.array([1.0, -0.045, -0.085]))
FOREARM = unit(np.array([1.0, 0.02, 0.01]))
HAND = unit(np.array([1.0, -0.03, 0.0]))
FOOT_TURNED_OUT = np.deg2rad(11.0)
# Raising the arms to the T lifts the shoulder girdle a little too.
CLAVICLE_RAISED = np.deg2rad(5.0)
SHOULDER_RAISED = np.deg2rad(12.0)

# Fingers keep 45 % of their curl, and 80 % of how far they are spread.
FINGER_CURL, FINGER_SPREAD = 0.45, 0.8

# The bone that moves each joint into the T-pose; joints not named here lie on the trunk, which
# stays.
JOINT_CARRIER = {
    "knee": "upperleg02",
    "ankle": "lowerleg02",
    "foot": "foot",
    "shoulder": "shoulder01",
    "elbow": "upperarm02",
    "wrist": "lowerarm02",
    "hand": "wrist",
}


@dataclass(frozen=True)
class TPosed:
    """People in the T-pose, SMPL frame, metres."""

    vertices: np.ndarray  # [N, V, 3]
    joints: np.ndarray  # [N, 24, 3]


def t_pose(adults: Adults, joints: np.ndarray, rig: Rig) -> TPosed:
    """Poses `adults`, whose SMPL joints in MakeHuman's rest pose are `joints` [N, 24, 3]."""
    heads = adults.heads
    rotations = _bone_rotations(heads, joints, rig)
    positions = np.empty_like(heads)
    for bone, parent in enumerate(rig.parents):
        if parent < 0:
            positions[:, bone] = heads[:, bone]
            continue
        reach = rotate(rotations[:, parent], heads[:, bone] - heads[:, parent])
        positions[:, bone] = positions[:, parent] + reach
    return TPosed(
        _skin(adults.vertices, heads, positions, rotations, rig.weights),
        _carry_joints(joints, heads, positions, rotations, rig),
    )


def _skin(
    vertices: np.ndarray,
    heads: np.ndarray,
    positions: np.ndarray,
    rotations: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Linear blend skinning, [N, V, 3]."""
    offsets = positions - np.einsum("nbij,nbj->nbi", rotations, heads)
    transforms = np.concatenate([rotations, offsets[..., None]], axis=-1)  # [N, bones, 3, 4]
    posed = np.empty_like(vertices)
    for person, transform in enumerate(transforms):  # one at a time: [V, 3, 4] is large
        blended = (weights @ transform.reshape(-1, 12)).reshape(-1, 3, 4)
        posed[person] = np.einsum("vij,vj->vi", blended[..., :3], vertices[person])
        posed[person] += blended[..., 3]
    return posed


def _carry_joints(
    joints: np.ndarray, heads: np.ndarray, positions: np.ndarray, rotations: np.ndarray, rig: Rig
) -> np.ndarray:
    carried = np.empty_like(joints)
    for joint, name in enumerate(JOINT_NAMES):
        side, _, part = name.partition("_")
        carrier = JOINT_CARRIER.get(part)
        bone = rig.bone(f"{carrier}.{side[0].upper()}" if carrier else "root")
        reach = rotate(rotations[:, bone], joints[:, joint] - heads[:, bone])
        carried[:, joint] = positions[:, bone] + reach
    return carried


def _bone_rotations(heads: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """World rotation of each bone from MakeHuman's rest pose to the T-pose: [N, bones, 3, 3]."""
    pose = _PoseBuilder(heads, rig)
    for side in ("L", "R"):
        _pose_leg(pose, side, hip=joints[:, 1 if side == "L" else 2])
        _pose_arm(pose, side)
    return pose.rotations


class _PoseBuilder:
    """World rotations of the bones, set from the trunk outwards."""

    def __init__(self, heads: np.ndarray, rig: Rig) -> None:
        self.rotations = np.tile(np.eye(3), (*heads.shape[:2], 1, 1))
        self._heads = heads
        self._rig = rig

    def head(self, bone: str) -> np.ndarray:
        return self._heads[:, self._rig.bone(bone)]

    def turn(self, bone: str, rotation: np.ndarray) -> None:
        """Turns a bone and, rigidly with it, everything that hangs from it."""
        branch = {self._rig.bone(bone)}
        for child, parent in enumerate(self._rig.parents):
            if parent in branch:
                branch.add(child)
        self.rotations[:, sorted(branch)] = rotation[:, None]


def _for_side(direction: np.ndarray, side: str) -> np.ndarray:
    return direction if side == "L" else direction * [-1, 1, 1]


def _pose_leg(pose: _PoseBuilder, side: str, hip: np.ndarray) -> None:
    knee, ankle = pose.head(f"lowerleg01.{side}"), pose.head(f"foot.{side}")
    pose.turn(f"upperleg01.{side}", shortest_rotation(knee - hip, _for_side(THIGH, side)))
    pose.turn(f"lowerleg01.{side}", shortest_rotation(ankle - knee, _for_side(SHIN, side)))
    # The foot only turns about the vertical, so that the sole stays flat on the floor.
    toes = (pose.head(f"toe2-1.{side}") + pose.head(f"toe3-1.{side}")) / 2 - ankle
    turned_out = FOOT_TURNED_OUT if side == "L" else -FOOT_TURNED_OUT
    turn = turned_out - np.arctan2(toes[:, 0], toes[:, 2])
    pose.turn(f"foot.{side}", rotation_about(np.array([0.0, 1.0, 0.0]), turn))


def _pose_arm(pose: _PoseBuilder, side: str) -> None:
    sign = 1.0 if side == "L" else -1.0
    people = len(pose.rotations)

    def raised(angle: float) -> np.ndarray:
        return rotation_about(np.array([0.0, 0.0, 1.0]), np.full(people, sign * angle))

    shoulder = raised(SHOULDER_RAISED)
    pose.turn(f"clavicle.{side}", raised(CLAVICLE_RAISED))
    pose.turn(f"shoulder01.{side}", shoulder)

    elbow_at, wrist_at = pose.head(f"lowerarm01.{side}"), pose.head(f"wrist.{side}")
    upper = elbow_at - pose.head(f"upperarm01.{side}")
    fore = wrist_at - elbow_at

    # Upper arm: along its direction, then twisted so that the elbow bends forwards. The twist
    # spreads over the two upper-arm bones, as it does in the flesh.
    upper_to = _for_side(UPPER_ARM, side)
    untwisted = shortest_rotation(rotate(shoulder, upper), upper_to) @ shoulder
    forwards = np.array([0.0, 0.0, 1.0])
    twist = np.clip(_angle_about(upper_to, forwards, rotate(untwisted, fore)), -0.6, 0.6)
    pose.turn(f"upperarm01.{side}", rotation_about(upper_to, -0.5 * twist) @ untwisted)
    upper_arm = rotation_about(upper_to, -twist) @ untwisted
    pose.turn(f"upperarm02.{side}", upper_arm)

    # Forearm: along its direction, then pronated until the palm faces the floor, most of it near
    # the wrist.
    fore_to = _for_side(FOREARM, side)
    untwisted = shortest_rotation(rotate(upper_arm, fore), fore_to) @ upper_arm
    index = rotate(untwisted, pose.head(f"finger2-1.{side}") - wrist_at)
    little = rotate(untwisted, pose.head(f"finger5-1.{side}") - wrist_at)
    palm_normal = np.cross(index, little) * sign
    twist = _angle_about(fore_to, np.array([0.0, -1.0, 0.0]), palm_normal)
    # The normal's sign depends on the side and the rest pose; the palm is never turned by more than
    # 90 deg.
    twist = np.where(np.abs(twist) > np.pi / 2, twist - np.sign(twist) * np.pi, twist)
    twist = np.clip(twist, -1.2, 1.2)
    pose.turn(f"lowerarm01.{side}", rotation_about(fore_to, -0.25 * twist) @ untwisted)
    pose.turn(f"lowerarm02.{side}", rotation_about(fore_to, -0.7 * twist) @ untwisted)
    wrist = rotation_about(fore_to, -twist) @ untwisted
    middle = rotate(wrist, pose.head(f"finger3-1.{side}") - wrist_at)
    wrist = shortest_rotation(middle, _for_side(HAND, side)) @ wrist
    pose.turn(f"wrist.{side}", wrist)

    for finger in (2, 3, 4, 5):
        _relax_finger(pose, f"finger{finger}", side, wrist)


def _relax_finger(pose: _PoseBuilder, finger: str, side: str, wrist: np.ndarray) -> None:
    rotation = wrist
    for segment in (1, 2, 3):
        if segment < 3:  # the last segment follows the one before
            start = pose.head(f"{finger}-{segment}.{side}")
            end = pose.head(f"{finger}-{segment + 1}.{side}")
            now = rotate(rotation, end - start)
            straight = _for_side(unit(np.array([1.0, -0.10 * segment, 0.0])), side)
            wanted = FINGER_CURL * unit(now) + (1 - FINGER_CURL) * straight
            wanted[:, 2] = FINGER_SPREAD * unit(now)[:, 2]
            rotation = shortest_rotation(now, wanted) @ rotation
        pose.turn(f"{finger}-{segment}.{side}", rotation)


def _angle_about(axis: np.ndarray, zero: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Angle [N] of `vectors` [N, 3] about `axis` [3], counted from the direction `zero` [3]."""
    across = unit(zero - (zero @ axis) * axis)
    return np.arctan2(vectors @ np.cross(axis, across), vectors @ across)
