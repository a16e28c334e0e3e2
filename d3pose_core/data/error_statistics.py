"""The measured statistics of BlazePose's errors, as `python -m tools.measure_landmarks fit` writes them.

An error is drawn as a Gaussian number, which says how it goes together with the others and lasts, and
a table, which says how large it then is (a Gaussian copula). All of a frame's numbers stand in one
vector; `Latents` says where.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from d3pose_core.array_file import read_arrays
from d3pose_core.errors import InputError
from d3pose_core.skeleton import LANDMARK_NAMES, NUM_LANDMARKS

T = TypeVar("T", bound="FittedNumbers")

# The six errors of a landmark and the kind of each: image x, y; metric x, y, z; depth hint.
ERRORS = 6
KIND_OF_ERROR = (0, 0, 1, 1, 2, 3)
KINDS = ("image", "across", "depth", "hint")
# Numbers of the whole body.
WHOLE_BODY = (
    *("pitch", "yaw", "roll"),  # rad: the metric landmarks are turned as a whole
    *("log_size", "log_slope"),  # of the metric landmarks, and of their depth alone
    *(
        "log_image_difficulty",
        "log_metric_difficulty",
    ),  # of the clip: its errors over the usual ones
)
CONSTANT = ("log_slope", "log_image_difficulty", "log_metric_difficulty")
CONFIDENCES = ("visibility", "presence")


class Latents:
    """Where in the vector of a frame's Gaussian numbers each kind stands."""

    errors = slice(0, ERRORS * NUM_LANDMARKS)  # landmark by landmark
    whole_body = slice(errors.stop, errors.stop + len(WHOLE_BODY))
    confidences = slice(whole_body.stop, whole_body.stop + len(CONFIDENCES) * NUM_LANDMARKS)
    count = confidences.stop


# Tables run over these Gaussian numbers: of sizes by |n|, of signed quantities by n.
SIZE_GRID = torch.arange(0, 3.751, 0.25)
SIGNED_GRID = torch.arange(-3, 3.001, 0.5)
FACING_KNOTS = torch.tensor([-1.0, 0.0, 1.0])  # from behind, from the side, from the front
LOG_HEIGHT_KNOTS = torch.tensor([60.0, 100.0, 160.0, 270.0, 500.0]).log()  # px of 1.7 m
LOG_IMAGE_ERROR_KNOTS = torch.tensor([0.01, 0.03, 0.06, 0.12, 0.24]).log()  # person heights
IN_VIEW_KNOTS = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0])  # share of the landmarks in the image


def groups_of_landmarks() -> dict[str, list[int]]:
    """Landmark indices by the part of the body."""
    parts = {
        "shoulders, hips": ("shoulder", "hip"),
        "elbows, knees": ("elbow", "knee"),
        "wrists, ankles": ("wrist", "ankle"),
        "fingers": ("pinky", "index", "thumb"),
        "feet": ("heel", "foot_index"),
    }
    groups = {"face": list(range(11))}
    for name, ends in parts.items():
        groups[name] = [
            i
            for i, landmark in enumerate(LANDMARK_NAMES)
            if i > 10 and landmark.split("_", 1)[1] in ends
        ]
    return groups


def group_of_landmark() -> Tensor:
    """[33] int64: index into `groups_of_landmarks`."""
    group = torch.zeros(NUM_LANDMARKS, dtype=torch.int64)
    for index, landmarks in enumerate(groups_of_landmarks().values()):
        group[landmarks] = index
    return group


@dataclass
class FittedNumbers:
    """Tensors that a command of `tools.measure_landmarks` fits to recordings, in a file of halves."""

    shipped: ClassVar[Path]
    command: ClassVar[str]

    @classmethod
    def load(cls: type[T], path: Path | None = None) -> T:
        """Those that ship, or those of another file. Raises InputError."""
        try:
            arrays = read_arrays(path or cls.shipped, [field.name for field in fields(cls)])
        except InputError as error:
            raise InputError(
                f"no fitted errors of landmarks: {error}; python -m tools.measure_landmarks {cls.command} "
                "writes them anew"
            ) from error
        return cls(**{name: torch.from_numpy(array).float() for name, array in arrays.items()})

    def save(self, path: Path) -> None:
        arrays = {name: value.numpy().astype(np.float16) for name, value in vars(self).items()}
        np.savez_compressed(path, **arrays)


@dataclass
class ErrorStatistics(FittedNumbers):
    """G = 6 groups of landmarks, 4 = `Sight`, K = 4 `KINDS`; lengths in m and person heights (image).

    Errors of depth and hint are at the person's distance, metric ones about the mid-hip.
    """

    shipped = Path(__file__).with_name("landmark_errors.npz")
    command = "fit"

    definition: Tensor  # [33, 33] BlazePose's landmarks as combinations of the true ones
    outside_pull: Tensor  # [2] landmarks outside are drawn inwards: share of the way, and beyond it
    told_depth: Tensor  # [300, 33] metric landmarks' depths from `told_depth.depth_features`
    bias: Tensor  # [3, 33, 3] m, metric, by facing, to the trunk's left, up and forward
    hint_slope: Tensor  # [] depth hint at the person's distance over the reported metric depth
    sizes: Tensor  # [K, G, 4, len(SIZE_GRID)] |error| of a clip of usual difficulty
    by_facing: Tensor  # [K, 3] factor of the errors' size
    by_height: Tensor  # [K, 5] factor of the errors' size, by the person's height in the image
    by_image_error: Tensor  # [K, 5] factor of the errors' size, by the landmark's own image error
    follows_image: Tensor  # [33] of an image error, how much the metric landmark is off with it
    whole_body: Tensor  # [7, len(SIGNED_GRID)] values of `WHOLE_BODY`
    confidence: Tensor  # [2, G, 4, len(SIGNED_GRID)] logits
    confidence_of_error: Tensor  # [2] correlation of `CONFIDENCES` with the size of the image error
    constant: Tensor  # [D, R0] loadings of what stays through a clip
    slow: Tensor  # [D, R1] loadings of what is forgotten within `memory_s`
    fast: Tensor  # [D, R2] loadings of what is new in every frame
    memory_s: Tensor  # [] time constant
    found: Tensor  # [5] share of frames reported once a track has begun, by IN_VIEW_KNOTS
    gap_s: Tensor  # [2] mean length of short and long gaps
    short_gaps: Tensor  # [] share of all frames that lie in short gaps
    flipped: Tensor  # [3] share of the frames with sides swapped, by facing
    part_flipped: (
        Tensor  # [2] share of the frames with only the legs', only the arms' sides swapped
    )


@lru_cache
def fitted_statistics() -> ErrorStatistics:
    """Those that ship."""
    return ErrorStatistics.load()


def look_up(table: Tensor, row: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation in `table` [R, Q] at rows `row` (int64) and columns `position` (float)."""
    columns = table.shape[1]
    position = position.clamp(0, columns - 1.001)
    left = position.long()
    flat, cell = table.reshape(-1), row * columns + left
    low = flat[cell]
    return low + (position - left) * (flat[cell + 1] - low)


def at_size(table: Tensor, row: Tensor, gauss: Tensor) -> Tensor:
    """Size of an error whose Gaussian number is `gauss`, from `table` [R, len(SIZE_GRID)]."""
    return look_up(table, row, gauss.abs() / float(SIZE_GRID[1]))


def at_signed(table: Tensor, row: Tensor, gauss: Tensor) -> Tensor:
    """Value at the Gaussian number `gauss`, from `table` [R, len(SIGNED_GRID)]."""
    step = float(SIGNED_GRID[1] - SIGNED_GRID[0])
    return look_up(table, row, (gauss - float(SIGNED_GRID[0])) / step)
