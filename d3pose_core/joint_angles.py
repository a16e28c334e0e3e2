"""The joint angles of REP-155's model of the human, for a recovered person.

REP-155 (ROS4HRI) describes people by a URDF with 20 hinges (its package human_description). Its links point
down or up at rest and have x forward, y left, z up (REP-103); SMPL's rest pose is a T-pose with other axes.
Arms and legs get the directions of the recovered ones exactly: shoulder and hip have three hinges each, and
elbow and knee bend about one. The trunk has one hinge, so it leans forward and back only.
"""

from __future__ import annotations

import math

import numpy as np

from d3pose_core.recovery import RecoveredPerson
from d3pose_core.rigid import rotation_matrix
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS

# Columns: forward, left and up of the body, in SMPL's axes (x left, y up, z forward).
BODY_AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
# Below this bend the twist of a limb cannot be seen by its bend, and is taken from SMPL's rotation.
_STRAIGHT_RAD = 0.1
_INDEX = {name: index for index, name in enumerate(JOINT_NAMES)}


def global_rotations(global_orient: np.ndarray, body_pose: np.ndarray) -> np.ndarray:
    """SMPL axis-angle [3] and [23, 3] -> the joints' rotations [24, 3, 3] in the person's frame."""
    local = [rotation_matrix(np.asarray(v, np.float64)) for v in (global_orient, *body_pose)]
    rotations = [local[0]]
    for joint in range(1, len(local)):
        rotations.append(rotations[JOINT_PARENTS[joint]] @ local[joint])
    return np.stack(rotations)


def body_frame(person: RecoveredPerson) -> tuple[np.ndarray, np.ndarray]:
    """REP-155's body frame: axes [3, 3] (x forward, z towards the head) and origin [3], between the hips."""
    root = rotation_matrix(np.asarray(person.global_orient, np.float64))
    hips = [_INDEX["left_hip"], _INDEX["right_hip"]]
    return root @ BODY_AXES, np.asarray(person.joints, np.float64)[hips].mean(0)


def rep155_joint_angles(person: RecoveredPerson) -> dict[str, float]:
    """Angle of each hinge by its name in REP-155 (without the id), rad."""
    body = global_rotations(person.global_orient, person.body_pose)
    # All in the body's axes: forward, left, up.
    axes = body[0] @ BODY_AXES
    joints = np.asarray(person.joints, np.float64) @ axes
    rotations = axes.T @ body @ BODY_AXES

    up = rotations[_INDEX["spine3"]][:, 2]
    waist = math.atan2(up[0], up[2])
    torso = _about_y(waist)
    angles = {"waist": waist}
    # Hinges x, z, -y one after the other: R = Rx(r) Rz(y) Ry(-p).
    head = torso.T @ rotations[_INDEX["head"]]
    angles["r_head"] = math.atan2(head[2, 1], head[1, 1])
    angles["y_head"] = math.asin(-float(np.clip(head[0, 1], -1, 1)))
    angles["p_head"] = -math.atan2(head[0, 2], head[0, 0])

    for side, letter, mirror in (("left", "l", 1.0), ("right", "r", -1.0)):
        shoulder, elbow, wrist = (
            joints[_INDEX[f"{side}_{p}"]] for p in ("shoulder", "elbow", "wrist")
        )
        # In SMPL's rest pose the arm points sideways: a quarter turn about x makes it hang.
        quarter = np.array([[1.0, 0, 0], [0, 0, -mirror], [0, mirror, 0]])
        twist = rotations[_INDEX[f"{side}_shoulder"]] @ quarter
        upper, bend = _limb(shoulder, elbow, wrist, twist, forward=1.0)
        # Hinges -z, x, z, mirrored on the right: R = Rz(-a) Rx(b) Rz(c) on the left.
        a, b, c = _zxz(torso.T @ upper, mirror)
        angles |= {
            f"{letter}_y_shoulder": -mirror * a,
            f"{letter}_p_shoulder": mirror * b,
            f"{letter}_r_shoulder": mirror * c,
            f"{letter}_elbow": bend,
        }
        hip, knee, ankle = (joints[_INDEX[f"{side}_{p}"]] for p in ("hip", "knee", "ankle"))
        thigh, bend = _limb(hip, knee, ankle, rotations[_INDEX[f"{side}_hip"]], forward=-1.0)
        # Hinges -z, x (mirrored on the right), -y: R = Rz(-a) Rx(b) Ry(-c).
        angles |= {
            f"{letter}_y_hip": math.atan2(thigh[0, 1], thigh[1, 1]),
            f"{letter}_p_hip": mirror * math.asin(float(np.clip(thigh[2, 1], -1, 1))),
            f"{letter}_r_hip": math.atan2(thigh[2, 0], thigh[2, 2]),
            f"{letter}_knee": -bend,
        }
    return angles


def _limb(
    start: np.ndarray, middle: np.ndarray, end: np.ndarray, twist: np.ndarray, forward: float
) -> tuple[np.ndarray, float]:
    """Axes [3, 3] of a limb's upper part, its end along -z, and the bend of its hinge about y, 0..pi.

    `forward` is 1 where the lower part bends towards +x (an elbow), -1 where towards -x (a knee). A limb that
    is nearly straight is turned about its length as `twist` [3, 3] is.
    """
    down = (middle - start) / np.linalg.norm(middle - start)
    lower = (end - middle) / np.linalg.norm(end - middle)
    sideways = lower - (lower @ down) * down
    bend = math.atan2(float(np.linalg.norm(sideways)), float(lower @ down))
    x = forward * sideways
    doubt = max(0.0, math.sin(_STRAIGHT_RAD) - float(np.linalg.norm(x)))
    if doubt > 0 or np.linalg.norm(x) < 1e-6:
        seen = twist[:, 0] - (twist[:, 0] @ down) * down
        x = x + doubt * seen / max(float(np.linalg.norm(seen)), 1e-9)
    x = x / np.linalg.norm(x)
    z = -down
    return np.stack([x, np.cross(z, x), z], -1), bend


def _zxz(rotation: np.ndarray, sign: float) -> tuple[float, float, float]:
    """Rz(a) Rx(b) Rz(c) = `rotation`, with the sign of b given; at b = 0 all of the turn is in c."""
    sine = math.hypot(rotation[0, 2], rotation[1, 2])
    if sine < 1e-6:
        b = 0.0 if rotation[2, 2] > 0 else math.pi
        return 0.0, sign * b, math.atan2(rotation[1, 0], rotation[0, 0])
    a = math.atan2(sign * rotation[0, 2], -sign * rotation[1, 2])
    b = sign * math.atan2(sine, rotation[2, 2])
    c = math.atan2(sign * rotation[2, 0], sign * rotation[2, 1])
    return a, b, c


def _about_y(angle: float) -> np.ndarray:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
