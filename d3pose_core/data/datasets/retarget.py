"""Motion of another skeleton as SMPL rotations.

Each SMPL joint takes the world rotation of the source joint that it stands for, times a constant that
brings SMPL's rest bone onto the source's rest bone: the pose in which all source rotations are zero looks
the same on both. Spine and neck are read off where the source has fewer or more joints than SMPL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from d3pose_core.body import load_body
from d3pose_core.data.datasets.world_to_camera import axis_angles, rotation_matrices
from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS

if TYPE_CHECKING:
    from d3pose_core.data.datasets.bvh import Skeleton

# SMPL joint -> what others call it, without side, case and separators; the first found is taken.
_ALIASES: dict[str, tuple[str, ...]] = {
    "pelvis": ("hips", "hip", "pelvis", "root"),
    "hip": ("upleg", "upperleg", "thigh", "hipjoint", "hip"),
    "knee": ("leg", "lowerleg", "shin", "knee", "calf"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "foot"),
    "collar": ("shoulder", "collar", "clavicle"),
    "shoulder": ("arm", "upperarm", "shldr", "shoulder"),
    "elbow": ("forearm", "lowerarm", "elbow"),
    "wrist": ("wrist", "hand"),
    "head": ("head",),
}
_SIDES = ("left", "right")
_NEEDED = tuple(
    f"{side}_{part}"
    for side in _SIDES
    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
# The bone by whose direction a joint's rest rotation is told; the others keep the body's axes.
_BONE_END = {"hip": "knee", "knee": "ankle", "shoulder": "elbow", "elbow": "wrist"}


def retarget(skeleton: Skeleton, what: str) -> tuple[np.ndarray, np.ndarray]:
    """SMPL pose [F, 24, 3] (axis-angle, rad; y up) and `transl` [F, 3], m, of the free body.

    Raises:
        InputError: joints that can't be told from their names; `what` is named in it.
    """
    joint_of = find_joints(skeleton.names, what)
    rest = skeleton.rest_positions
    facing = _facing(rest, joint_of)  # rest frame -> SMPL's, which faces +z
    smpl_rest = _smpl_rest()
    world = _world_rotations(skeleton, joint_of, rest, facing, smpl_rest)
    local = world.copy()
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent >= 0:
            local[:, joint] = world[:, parent].transpose(0, 2, 1) @ world[:, joint]
    scale = _leg(smpl_rest, JOINT_NAMES.index) / _leg(rest, joint_of.__getitem__)
    hips = skeleton.positions[:, [joint_of["left_hip"], joint_of["right_hip"]]].mean(1) * scale
    middle = smpl_rest[[JOINT_NAMES.index("left_hip"), JOINT_NAMES.index("right_hip")]].mean(0)
    pelvis = hips - np.einsum("fij,j->fi", world[:, 0], middle - smpl_rest[0])
    return axis_angles(local), pelvis - smpl_rest[0]


def find_joints(names: tuple[str, ...], what: str) -> dict[str, int]:
    """SMPL's joint names -> indices of the source's joints; spine and neck are found by `_chain`.

    Raises:
        InputError: limbs that no name stands for.
    """
    plain = [_without_side(name) for name in names]
    found: dict[str, int] = {}

    def take(target: str, part: str, side: str) -> None:
        for alias in _ALIASES[part]:
            for index, (its_side, its_name) in enumerate(plain):
                if its_side == side and its_name == alias and index not in found.values():
                    found[target] = index
                    return

    take("pelvis", "pelvis", "")
    take("head", "head", "")
    for side in _SIDES:
        # Outer joints first: "LeftShoulder" is the collar only where there is a "LeftArm", too.
        # A "LeftFoot" is the foot only where there is a "LeftAnkle", too.
        for part in ("wrist", "elbow", "shoulder", "collar", "ankle", "foot", "knee", "hip"):
            take(f"{side}_{part}", part, side)
    lacking = [name for name in ("pelvis", *_NEEDED) if name not in found]
    if lacking:
        raise InputError(
            f"{what}: no joint stands for {', '.join(lacking)}; its joints are {', '.join(names)}. Rename "
            "them like LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand, Hips"
        )
    return found


def _without_side(name: str) -> tuple[str, str]:
    """ "mixamorig:LeftUpLeg" -> ("left", "upleg")."""
    name = name.split(":")[-1]
    for side in _SIDES:
        letter = side[0]
        # LeftArm, lArm or LArm, l_arm, Arm_L or Arm.left
        pattern = (
            rf"^(?i:{side})|^(?i:{letter})(?=[A-Z])|^(?i:{letter})[_.]|[_.](?i:{side}|{letter})$"
        )
        rest, count = re.subn(pattern, "", name, count=1)
        if count:
            return side, _letters(rest)
    return "", _letters(name)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _smpl_rest() -> np.ndarray:
    """[24, 3] m, of the mean free body."""
    return load_body("free-low").joint_template.double().numpy()


def _facing(rest: np.ndarray, joint_of: dict[str, int]) -> np.ndarray:
    """The turn about y that makes a rest pose face +z."""
    across = sum(
        rest[joint_of[f"left_{part}"]] - rest[joint_of[f"right_{part}"]]
        for part in ("hip", "shoulder")
    )
    angle = np.arctan2(across[2], across[0])
    return rotation_matrices(np.array([0.0, angle, 0.0]))


def _world_rotations(
    skeleton: Skeleton,
    joint_of: dict[str, int],
    rest: np.ndarray,
    facing: np.ndarray,
    smpl_rest: np.ndarray,
) -> np.ndarray:
    """[F, 24, 3, 3]."""
    frames = len(skeleton.rotations)
    world = np.empty((frames, 24, 3, 3))
    back = facing.T  # SMPL's axes -> the source's
    for joint, name in enumerate(JOINT_NAMES):
        parent = JOINT_PARENTS[joint]
        source = joint_of.get(name)
        if name.startswith("spine"):
            world[:, joint] = _between(skeleton, joint_of, int(name[-1]) / 3) @ back
        elif name == "neck" or source is None:
            world[:, joint] = world[:, parent]  # it moves with what carries it
        else:
            turn = skeleton.rotations[:, source]
            world[:, joint] = turn @ _rest_turn(name, rest, joint_of, facing, smpl_rest)
    return world


def _rest_turn(
    name: str,
    rest: np.ndarray,
    joint_of: dict[str, int],
    facing: np.ndarray,
    smpl_rest: np.ndarray,
) -> np.ndarray:
    """SMPL's rest axes of a joint -> the source's rest axes: limbs by their bones."""
    side, _, part = name.rpartition("_")
    end = _BONE_END.get(part)
    if part == "wrist":  # hands follow the forearm's bone
        part, end = "elbow", "wrist"
    if end is None or not side:
        return facing.T
    ours = smpl_rest[JOINT_NAMES.index(f"{side}_{end}")]
    ours = ours - smpl_rest[JOINT_NAMES.index(f"{side}_{part}")]
    theirs = facing @ (rest[joint_of[f"{side}_{end}"]] - rest[joint_of[f"{side}_{part}"]])
    return facing.T @ _swing(ours, theirs)


def _swing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis, cosine = np.cross(a, b), float(a @ b)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9:
        return np.eye(3) if cosine > 0 else rotation_matrices(np.array([np.pi, 0.0, 0.0]))
    return rotation_matrices(axis / sine * np.arctan2(sine, cosine))


def _between(skeleton: Skeleton, joint_of: dict[str, int], share: float) -> np.ndarray:
    """World rotation [F, 3, 3] at a share of the way along the source's spine, its last joint at 1."""
    chain = _spine(skeleton, joint_of)
    place = share * (len(chain) - 1)
    below = min(int(place + 1e-9), len(chain) - 1)
    above = min(below + 1, len(chain) - 1)
    low, high = skeleton.rotations[:, chain[below]], skeleton.rotations[:, chain[above]]
    turn = axis_angles(low.transpose(0, 2, 1) @ high)
    return low @ rotation_matrices((place - below) * turn)


def _spine(skeleton: Skeleton, joint_of: dict[str, int]) -> list[int]:
    """From the pelvis up to the joint that carries both arms."""

    def ancestors(joint: int) -> list[int]:
        chain = []
        while joint >= 0:
            chain.append(joint)
            joint = skeleton.parents[joint]
        return chain

    right = set(ancestors(joint_of["right_shoulder"]))
    chain = [j for j in ancestors(joint_of["left_shoulder"]) if j in right]
    pelvis = joint_of["pelvis"]
    return list(reversed(chain[: chain.index(pelvis) + 1])) if pelvis in chain else [pelvis]


def _leg(rest: np.ndarray, index) -> float:
    """Length of the left leg."""
    hip, knee, ankle = (rest[index(f"left_{part}")] for part in ("hip", "knee", "ankle"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))
