"""The skin: MakeHuman's mesh without what cannot be seen, and the vertices that stand for landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from d3pose_core.body.arrays import MARKER_NAMES
from d3pose_core.skeleton import JOINT_NAMES
from tools.build_free_body.geometry import mirror_vertices, unit
from tools.build_free_body.makehuman import Rig

# Vertex ranges of MakeHuman's base.obj.
SKIN_END = 13380
TONGUE = (13380, 13606)
LEFT_EYE = (14598, 14670)
RIGHT_EYE = (14670, 14742)

# The vertices that smplx (and much other code) reads as MARKER_NAMES on SMPL and SMPL-H meshes.
# Ours are numbered to agree, so that such code finds a nose where it looks for one.
SMPL_MARKER_VERTICES = np.array(
    [
        *(332, 6260, 2800, 4071, 583),  # nose, eyes, ears
        *(3216, 3226, 3387, 6617, 6624, 6787),  # toes and heels
        *(2746, 2319, 2445, 2556, 2673),  # left finger tips
        *(6191, 5782, 5905, 6016, 6133),  # right finger tips
    ]
)
assert len(SMPL_MARKER_VERTICES) == len(MARKER_NAMES)

FACE_BONES = (
    *("head", "neck03", "jaw", "levator", "special", "orbicularis"),
    *("temporalis", "oculi", "risorius", "oris"),
)


@dataclass(frozen=True)
class Skin:
    """The part of MakeHuman's mesh that is kept."""

    vertex_ids: np.ndarray  # [V]: vertex of `Rig` for each vertex
    faces: np.ndarray  # [F, 3]
    mirror: np.ndarray  # [V]: each vertex's mirror image


def extract_skin(rest: np.ndarray, rig: Rig, weights: np.ndarray) -> Skin:
    """Drops the tongue and the head's inner cavities, and numbers the markers as SMPL does.

    Args:
        rest: mean T-posed vertices [V, 3], m.
        weights: skinning weights [V, 24].
    """
    on_head = weights[:, JOINT_NAMES.index("head")] > 0.5
    head_faces = on_head[rig.faces].all(1)
    tongue = (rig.base_vertex >= TONGUE[0]) & (rig.base_vertex < TONGUE[1])
    kept = ~head_faces | _visible_faces(rest, rig.faces, on_head)
    kept &= ~tongue[rig.faces].any(1)
    kept = _with_mirror_images(kept, rig.faces, mirror_vertices(rest))

    vertex_ids = np.unique(rig.faces[kept])
    markers = np.searchsorted(vertex_ids, marker_vertices(rest, rig))
    if not np.array_equal(vertex_ids[markers], marker_vertices(rest, rig)):
        raise RuntimeError("a landmark lies on a part of the mesh that was found to be hidden")
    vertex_ids = vertex_ids[renumber(len(vertex_ids), markers, SMPL_MARKER_VERTICES)]
    new_index = np.full(len(rest), -1)
    new_index[vertex_ids] = np.arange(len(vertex_ids))
    return Skin(vertex_ids, new_index[rig.faces[kept]], mirror_vertices(rest[vertex_ids]))


def renumber(count: int, vertices: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """An order (new -> old) of `count` vertices in which `vertices` [M] come at the indices `wanted` [M]."""
    order, place = np.arange(count), np.arange(count)
    for vertex, target in zip(vertices, wanted, strict=True):
        here, displaced = place[vertex], order[target]
        order[here], order[target] = displaced, vertex
        place[displaced], place[vertex] = here, target
    return order


def _visible_faces(vertices: np.ndarray, faces: np.ndarray, on_head: np.ndarray) -> np.ndarray:
    """Faces [F] bool of which at least a quarter shows in some view of the head."""
    head = vertices[on_head]
    center = (head.min(0) + head.max(0)) / 2
    near = np.flatnonzero(np.abs(vertices[faces].mean(1) - center).max(1) < 0.25)
    size, subpixel_bits = 700, 4
    scale = size / 0.4  # px/m: the head fills the picture
    visible = np.zeros(len(faces), bool)
    for pitch in np.deg2rad([-60, -30, 0, 30, 60]):
        for yaw in np.deg2rad(np.arange(0, 360, 15)):
            turned = (vertices - center) @ Rotation.from_euler("yx", [yaw, pitch]).as_matrix().T
            pixels = turned[:, :2] * scale + size / 2
            corners = np.round(pixels * 2**subpixel_bits).astype(np.int32)
            # Painter's algorithm: far faces first, near ones over them, each in its own "colour".
            picture = np.full((size, size), -1, np.int32)
            for face in near[np.argsort(turned[faces[near], 2].mean(1))]:
                polygon = corners[faces[face]]
                cv2.fillConvexPoly(picture, polygon, int(face), cv2.LINE_4, subpixel_bits)
            shown = np.bincount(picture[picture >= 0], minlength=len(faces))
            a, b, c = pixels[faces].transpose(1, 2, 0)
            area = np.abs((b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0]) / 2
            # At least one pixel: outlines make slivers seem larger than they are.
            visible |= shown > np.maximum(0.25 * area, 1)
    return visible


def _with_mirror_images(kept: np.ndarray, faces: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Keeps a face also where only its mirror image was found visible."""
    key = {tuple(sorted(face)): number for number, face in enumerate(faces.tolist())}
    images = [key.get(tuple(sorted(face))) for face in mirror[faces[kept]].tolist()]
    symmetric = kept.copy()
    symmetric[[image for image in images if image is not None]] = True
    return symmetric


def marker_vertices(rest: np.ndarray, rig: Rig) -> np.ndarray:
    """Vertices [21] of `MARKER_NAMES`, found geometrically on the T-posed mean body `rest` [V, 3]."""
    face_bones = [
        bone
        for bone, name in enumerate(rig.bones)
        if name in FACE_BONES or name.split("0")[0] in FACE_BONES
    ]
    of_head = rig.weights[:, face_bones].sum(1) > 0.5
    head = np.flatnonzero(of_head & (rig.base_vertex < SKIN_END))
    # The tip: as far forward as can be, but on the middle line.
    found = {"nose": head[np.argmax(rest[head, 2] - 5 * np.abs(rest[head, 0]))]}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        found |= {
            f"{side}_{part}": vertex
            for part, vertex in _side_markers(rest, rig, head, sign).items()
        }
    return np.array([found[name] for name in MARKER_NAMES])


def _side_markers(rest: np.ndarray, rig: Rig, head: np.ndarray, sign: float) -> dict[str, int]:
    s = "L" if sign > 0 else "R"

    def moved_by(bone: str, least: float) -> np.ndarray:
        return np.flatnonzero(rig.weights[:, rig.bone(f"{bone}.{s}")] > least)

    first, end = LEFT_EYE if sign > 0 else RIGHT_EYE
    eye = np.flatnonzero((rig.base_vertex >= first) & (rig.base_vertex < end))
    half = head[rest[head, 0] * sign > 0]
    widest = np.abs(rest[half, 0]).max()
    flap = half[np.abs(rest[half, 0]) > 0.85 * widest]  # the auricle
    tragus = rest[flap].mean(0) + np.array([-0.006 * sign, -0.008, 0.014])
    foot = moved_by("foot", 0.5)
    sole = foot[rest[foot, 1] < rest[foot, 1].min() + 0.035]
    big_toe, small_toe = moved_by("toe1-2", 0.5), moved_by("toe5-3", 0.3)
    found = {
        "eye": eye[np.argmax(rest[eye, 2])],
        "ear": half[np.argmin(np.linalg.norm(rest[half] - tragus, axis=1))],
        "big_toe": big_toe[np.argmax(rest[big_toe, 2])],
        "small_toe": small_toe[np.argmax(rest[small_toe, 2])],
        "heel": sole[np.argmin(rest[sole, 2])],
    }
    for number, finger in enumerate(("thumb", "index", "middle", "ring", "pinky"), start=1):
        tip, root = moved_by(f"finger{number}-3", 0.5), moved_by(f"finger{number}-1", 0.3)
        along = unit(rest[tip].mean(0) - rest[root].mean(0))
        found[finger] = tip[np.argmax(rest[tip] @ along)]
    return found
