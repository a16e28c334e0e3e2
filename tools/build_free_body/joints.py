"""SMPL's 24 joints and skinning weights, derived from MakeHuman's skeleton."""

from __future__ import annotations

import numpy as np

from d3pose_core.skeleton import JOINT_NAMES, NUM_JOINTS
from tools.build_free_body.makehuman import Rig

TRUNK_BONES = {
    "root": "pelvis",
    "pelvis": "pelvis",
    "spine05": "pelvis",
    "spine04": "spine1",
    "spine03": "spine1",
    "spine02": "spine2",
    "spine01": "spine3",
    "breast": "spine3",
    "neck01": "neck",
    "neck02": "neck",
}
# By the start of the bone's name.
LIMB_BONES = {
    "upperleg": "hip",
    "lowerleg": "knee",
    "foot": "ankle",
    "toe": "foot",
    "clavicle": "collar",
    "shoulder01": "collar",
    "upperarm": "shoulder",
    "lowerarm": "elbow",
    "wrist": "wrist",
    "metacarpal": "wrist",
    "finger": "hand",
}


def merge_weights(rig: Rig) -> np.ndarray:
    """Skinning weights [V, 163 bones] -> [V, 24 joints]: each bone moves with one joint."""
    membership = np.zeros((len(rig.bones), NUM_JOINTS))
    for bone, name in enumerate(rig.bones):
        membership[bone, JOINT_NAMES.index(_joint_of_bone(name))] = 1.0
    return rig.weights @ membership


def _joint_of_bone(name: str) -> str:
    part, _, side = name.partition(".")
    if part in TRUNK_BONES:
        return TRUNK_BONES[part]
    for start, joint in LIMB_BONES.items():
        if part.startswith(start):
            return f"{'left' if side == 'L' else 'right'}_{joint}"
    return "head"  # neck03 and the many bones of the face


def joints_from_bones(heads: np.ndarray, rig: Rig) -> np.ndarray:
    """A first guess of the joints [N, 24, 3] in MakeHuman's rest pose from its bone heads [N, bones, 3].

    The fractions along the bones put spine, hip, knee and hand where anatomy (and SMPL) has the
    centre of rotation; MakeHuman's own pivots there serve animation.
    """

    def at(bone: str) -> np.ndarray:
        return heads[:, rig.bone(bone)]

    def between(start: str, end: str, fraction: float) -> np.ndarray:
        return at(start) + fraction * (at(end) - at(start))

    found = {
        "pelvis": between("spine05", "spine04", 0.25),
        "spine1": between("spine04", "spine03", 0.55),
        "spine2": between("spine02", "spine01", 0.15),
        "spine3": between("spine02", "spine01", 0.65),
        "neck": at("neck01"),
        "head": between("neck03", "head", 0.15),
    }
    for word, s in (("left", "L"), ("right", "R")):
        hip = between(f"upperleg01.{s}", f"upperleg02.{s}", 0.30) * [0.80, 1, 1]
        toes = (at(f"toe2-1.{s}") + at(f"toe3-1.{s}")) / 2
        knuckles = (at(f"finger2-1.{s}") + at(f"finger3-1.{s}") + at(f"finger4-1.{s}")) / 3
        found |= {
            f"{word}_hip": hip,
            f"{word}_knee": between(f"lowerleg01.{s}", f"lowerleg02.{s}", 0.08),
            f"{word}_ankle": at(f"foot.{s}"),
            f"{word}_foot": toes,
            f"{word}_collar": between(f"clavicle.{s}", f"shoulder01.{s}", 0.5),
            f"{word}_shoulder": at(f"upperarm01.{s}"),
            f"{word}_elbow": at(f"lowerarm01.{s}"),
            f"{word}_wrist": at(f"wrist.{s}"),
            f"{word}_hand": 0.75 * knuckles + 0.25 * at(f"wrist.{s}"),
        }
    return np.stack([found[name] for name in JOINT_NAMES], axis=1)


def heads_at_joints(heads: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """Moves the limbs' bone heads [N, bones, 3] onto `joints` [N, 24, 3].

    MakeHuman's pivots slide along the limbs with body shape; rotating about them would bend limbs
    beside the joints that the regressor finds on the skin.
    """
    moved = heads.copy()
    bone_at_joint = {
        "knee": "lowerleg01",
        "ankle": "foot",
        "shoulder": "upperarm01",
        "elbow": "lowerarm01",
        "wrist": "wrist",
    }
    for part, bone in bone_at_joint.items():
        for word, s in (("left", "L"), ("right", "R")):
            moved[:, rig.bone(f"{bone}.{s}")] = joints[:, JOINT_NAMES.index(f"{word}_{part}")]
    return moved
