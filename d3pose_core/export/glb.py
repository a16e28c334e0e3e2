"""glTF 2.0 binary (.glb): the body as a skinned mesh that moves, for Blender, game engines and browsers.

A node a joint, whose translation is the bone at rest and whose rotation is SMPL's; the pelvis' node also
carries where the person is. The skin is the person's unposed body. SMPL's pose correctives (the skin that
bulges at a bent joint) are one morph target for each element of R - I, stored sparsely, whose weights
are animated: with them the mesh is SMPL's to rounding, without them a plain skin of a simpler file.
Units are metres and seconds, times count from the start of the clip.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import roma
import torch

from d3pose_core.body.model import BodyModel
from d3pose_core.export.gltf import INDEX_DATA, VERTEX_DATA, GltfDocument
from d3pose_core.export.track import MotionTrack
from d3pose_core.recording import package_version
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS

_SKIN_COLOR = (0.55, 0.62, 0.72, 1.0)
_MESH_NODE = NUM_JOINTS  # the joints' nodes come first, in SMPL's order


def write_glb(
    track: MotionTrack, body: BodyModel, path: Path, pose_correctives: bool = True
) -> None:
    """Write the mesh and its motion, at the track's own times.

    Raises:
        InputError: the file can't be written.
    """
    document = GltfDocument(f"d3pose {package_version()}")
    rest_joints = track.rest_joints(body)
    document.json |= {
        "scene": 0,
        "scenes": [{"nodes": [0, _MESH_NODE]}],
        "nodes": [*_joint_nodes(rest_joints), {"name": "body", "mesh": 0, "skin": 0}],
        "skins": [
            {
                "joints": list(range(NUM_JOINTS)),
                "skeleton": 0,
                "inverseBindMatrices": document.accessor(_inverse_bind(rest_joints)),
            }
        ],
        "materials": [
            {
                "pbrMetallicRoughness": {
                    "baseColorFactor": list(_SKIN_COLOR),
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                }
            }
        ],
        "meshes": [_mesh(document, track, body, pose_correctives)],
    }
    document.json["animations"] = [_animation(document, track, pose_correctives)]
    document.save(path)


def _joint_nodes(rest_joints: np.ndarray) -> list[dict[str, Any]]:
    nodes = []
    for joint, (name, parent) in enumerate(zip(JOINT_NAMES, JOINT_PARENTS, strict=True)):
        bone = rest_joints[joint] - (rest_joints[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": name, "translation": bone.tolist()}
        children = [j for j in range(NUM_JOINTS) if JOINT_PARENTS[j] == joint]
        if children:
            node["children"] = children
        nodes.append(node)
    return nodes


def _inverse_bind(rest_joints: np.ndarray) -> np.ndarray:
    """[24, 4, 4] float32: from the unposed body to each joint."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (NUM_JOINTS, 1, 1))
    matrices[:, :3, 3] = -rest_joints
    return matrices


def _mesh(
    document: GltfDocument, track: MotionTrack, body: BodyModel, pose_correctives: bool
) -> dict[str, Any]:
    vertices = track.rest_vertices(body)
    attributes = {
        "POSITION": document.accessor(vertices.astype(np.float32), VERTEX_DATA),
        "NORMAL": document.accessor(_normals(vertices, body.faces), VERTEX_DATA),
        **_influences(document, body.skin_weights.cpu().numpy()),
    }
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": document.accessor(body.faces.reshape(-1).astype(np.uint32), INDEX_DATA),
        "material": 0,
    }
    mesh: dict[str, Any] = {"name": body.name, "primitives": [primitive]}
    if pose_correctives:
        displacements = body.pose_displacements.cpu().numpy()
        primitive["targets"] = [{"POSITION": document.sparse_accessor(d)} for d in displacements]
        mesh["weights"] = [0.0] * len(displacements)
        mesh["extras"] = {
            "targetNames": [
                f"{name}_{row}{column}"
                for name in JOINT_NAMES[1:]
                for row in "xyz"
                for column in "xyz"
            ]
        }
    return mesh


def _influences(document: GltfDocument, weights: np.ndarray) -> dict[str, int]:
    """Joints and weights [V, 24] in sets of four, the strongest in the first set.

    Some readers take only the first set; they are left with the four joints that matter most.
    """
    most = int((weights > 0).sum(1).max())
    order = np.argsort(-weights, axis=1, kind="stable")
    attributes = {}
    for number, first in enumerate(range(0, most, 4)):
        joints = order[:, first : first + 4]
        strength = np.take_along_axis(weights, joints, 1).astype(np.float32)
        joints = np.where(strength > 0, joints, 0).astype(np.uint8)
        attributes[f"JOINTS_{number}"] = document.accessor(joints, VERTEX_DATA)
        attributes[f"WEIGHTS_{number}"] = document.accessor(strength, VERTEX_DATA)
    return attributes


def _animation(
    document: GltfDocument, track: MotionTrack, pose_correctives: bool
) -> dict[str, Any]:
    times = document.accessor(track.time_s.astype(np.float32))
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def animate(node: int, what: str, values: np.ndarray) -> None:
        output = document.accessor(values.astype(np.float32))
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": what}})
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})

    animate(0, "translation", track.pelvis)
    quaternions = roma.rotmat_to_unitquat(torch.from_numpy(track.rotations)).numpy()  # x, y, z, w
    # The shorter way from frame to frame: q and -q are the same rotation.
    turn = np.sign((quaternions[1:] * quaternions[:-1]).sum(-1, keepdims=True))
    quaternions[1:] *= np.cumprod(np.where(turn == 0, 1, turn), axis=0)
    for joint in range(NUM_JOINTS):
        animate(joint, "rotation", quaternions[:, joint])
    if pose_correctives:
        features = track.rotations[:, 1:] - np.eye(3)
        animate(_MESH_NODE, "weights", features.reshape(-1))  # a frame's weights after the other's
    return {"name": f"track {track.track_id}", "samplers": samplers, "channels": channels}


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """[V, 3] float32 unit normals of the unposed body."""
    corner = vertices[faces]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.zeros_like(vertices)
    for side in range(3):
        np.add.at(normals, faces[:, side], face)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    up = np.array([0.0, 1.0, 0.0])  # of a vertex that no face uses
    return np.where(length > 0, normals / np.maximum(length, 1e-12), up).astype(np.float32)
