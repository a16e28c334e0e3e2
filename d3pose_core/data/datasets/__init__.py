"""Readers of official datasets: `open_dataset("3dpw", "/data/3DPW", "test")`.

Nothing is downloaded and no dataset is part of this package: each is got from its makers, under their terms.
"""

from __future__ import annotations

from pathlib import Path

from d3pose_core.data.datasets.aist import Aist
from d3pose_core.data.datasets.amass import Amass
from d3pose_core.data.datasets.bag import Bag
from d3pose_core.data.datasets.bedlam import Bedlam
from d3pose_core.data.datasets.bvh import Bvh
from d3pose_core.data.datasets.dataset import Dataset
from d3pose_core.data.datasets.emdb import Emdb
from d3pose_core.data.datasets.human36m import Human36M
from d3pose_core.data.datasets.mpi_inf_3dhp import MpiInf3dhp
from d3pose_core.data.datasets.sequence import (
    DatasetPerson,
    DatasetSequence,
    Joints2D,
    Joints3D,
    SmplTrack,
)
from d3pose_core.data.datasets.three_dpw import ThreeDPW
from d3pose_core.data.datasets.world_to_camera import Bodies, bodies_in
from d3pose_core.errors import InputError

DATASETS: dict[str, type[Dataset]] = {
    each.key: each for each in (ThreeDPW, Human36M, MpiInf3dhp, Aist, Amass, Emdb, Bedlam, Bvh, Bag)
}

__all__ = [
    "DATASETS",
    "Bodies",
    "Dataset",
    "DatasetPerson",
    "DatasetSequence",
    "Joints2D",
    "Joints3D",
    "SmplTrack",
    "bodies_in",
    "open_dataset",
]


def open_dataset(name: str, root: str | Path, split: str, bodies: Bodies | None = None) -> Dataset:
    """The sequences of one split; iterate over it, or `load` one of its `names`.

    Args:
        name: one of `DATASETS`.
        root: the folder of the dataset, as its makers lay it out (`DATASETS[name].layout`).
        split: one of `DATASETS[name].splits`.
        bodies: your SMPL files by gender (`bodies_in`): for datasets that don't say where SMPL's pelvis
            is. Without them such people come without SMPL, and say why.

    Raises:
        InputError: no such dataset or split, or a file is missing; the message says where to get it.
    """
    if name not in DATASETS:
        raise InputError(f"no dataset called {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name](root, split, bodies)
