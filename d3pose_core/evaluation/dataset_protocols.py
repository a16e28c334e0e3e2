"""The protocols of official datasets. Numbers of different protocols can't be compared, even of one dataset.

`3dpw-official` is that of the 3DPW challenge (aymenmir1/3dpw-eval), `3dpw-vibe` that of VIBE and its
successors (Kocabas et al. 2020), `3dpw-wham` that of WHAM and GVHMR (Shin et al. 2024, Shen et al. 2024).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from d3pose_core.errors import InputError
from d3pose_core.evaluation.protocols import Protocol
from d3pose_core.skeleton import JOINT_NAMES

# What rows 6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10 of J_regressor_h36m give: the order of LSP.
H36M_TO_LSP14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
LSP14 = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    *("neck", "head_top"),
)
REGRESSOR = "J_regressor_h36m [17, 6890] of the SMPL mesh, rows 6 5 4 1 2 3 16 15 14 11 12 13 8 10"
_HIPS = ("left_hip", "right_hip")
_MM = (("mpjpe", "mm"), ("pa_mpjpe", "mm"), ("pve", "mm"), ("pa_pve", "mm"))


@dataclass(frozen=True)
class DatasetProtocol(Protocol):
    """What a number of a dataset means.

    `joints` are SMPL's 24 or the 14 that `regressor` gives; `gt_body` says with which SMPL body the
    reference is posed: "own" (of the person's gender) or "neutral"; "joints" needs none.
    """

    dataset: str = ""
    split: str = ""
    gt_body: str = "own"
    regressor: str = ""  # "" where SMPL's own joints are compared
    pve: str = (
        ""  # "pelvis": aligned there; "canonical": both bodies posed with transl 0; "" not reported
    )
    pa_pve: str = "vertices"  # what the Procrustes transform of `pa_pve` is found from, or "joints"
    frames: str = "all valid frames"  # which count
    fps: float = 30.0
    units: tuple[tuple[str, str], ...] = _MM
    world: bool = False  # compared in the world, with the dataset's own camera motion
    every: int = 1  # frames whose number is a multiple of it count
    sequence_filter: str = ""  # sequences whose names end in this count
    keypoints_seen: tuple[float, int] | None = None  # (confidence, more than so many 2D joints)

    def block(self) -> dict[str, Any]:
        """Everything that has to stand beside a number."""
        out = asdict(self) | {"units": dict(self.units), "root": list(self.root)}
        out["joint_set"] = f"{len(self.joints)} joints: {', '.join(self.joints)}"
        out["alignment"] = {
            "mpjpe": f"translation: the mean of {' and '.join(self.root)} coincides",
            "pa_mpjpe": "similarity transform of each frame (Procrustes)",
            "pve": {"pelvis": "translation: as mpjpe", "canonical": "none: transl is 0", "": "-"}[
                self.pve
            ],
            "pa_pve": f"similarity transform of each frame, that of its {self.pa_pve}",
        }
        del out["joints"]
        return out


_LIST = (
    DatasetProtocol(
        name="3dpw-official",
        description="the 3DPW challenge: 24 SMPL joints about the pelvis, of all three splits",
        joints=JOINT_NAMES,
        root=("pelvis",),
        dataset="3dpw",
        split="all",
        frames="poses2d not all zero, and campose_valid",
        keypoints_seen=(0.0, 0),
        units=(
            ("mpjpe", "mm"),
            ("pa_mpjpe", "mm"),
            ("pck", "% of 12 joints within 50 mm, aligned as mpjpe"),
            ("auc", "area under pck over 0, 1, ..., 199 mm, 0..1"),
            ("mpjae", "degrees, 9 joints"),
            ("pa_mpjae", "degrees, 9 joints, after the rotation of pa_mpjpe"),
        ),
    ),
    DatasetProtocol(
        name="3dpw-vibe",
        description="VIBE, TCMR, MPS-Net, ...: 14 regressed joints about the middle of the hips",
        joints=LSP14,
        root=_HIPS,
        dataset="3dpw",
        split="test",
        gt_body="neutral",
        regressor=REGRESSOR,
        pve="canonical",
        frames="more than 6 keypoints with confidence above 0.3, and campose_valid",
        keypoints_seen=(0.3, 6),
        units=(*_MM, ("accel", "mm/frame^2")),
    ),
    DatasetProtocol(
        name="3dpw-wham",
        description="WHAM, GVHMR, TRAM, ...: 14 regressed joints, reference posed with its own gender",
        joints=LSP14,
        root=_HIPS,
        dataset="3dpw",
        split="test",
        regressor=REGRESSOR,
        pve="pelvis",
        frames="campose_valid",
        units=(*_MM, ("accel_si", "m/s^2")),
    ),
    DatasetProtocol(
        name="human36m-p2",
        description="Human3.6M protocol 2: Procrustes error of 14 joints, frontal camera, every 64th frame",
        joints=(
            *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
            *("neck", "head_top", "left_shoulder", "left_elbow", "left_wrist"),
            *("right_shoulder", "right_elbow", "right_wrist"),
        ),
        root=_HIPS,
        dataset="human36m",
        split="test",
        gt_body="joints",
        regressor="J_regressor_h36m [17, 6890] of the SMPL mesh; the reference is the marker-based skeleton",
        frames="S9 and S11, camera 4, every 64th frame",
        fps=50.0,
        every=64,
        sequence_filter="_ca_04",
        units=(("mpjpe", "mm"), ("pa_mpjpe", "mm")),
    ),
    DatasetProtocol(
        name="emdb-1",
        description="EMDB 1: 24 SMPL joints in camera space about the middle of the hips",
        joints=JOINT_NAMES,
        root=_HIPS,
        dataset="emdb",
        split="emdb1",
        pve="pelvis",
        pa_pve="joints",
        frames="good_frames_mask",
        units=(
            *_MM,
            ("mpjae", "degrees, 9 joints"),
            ("pa_mpjae", "degrees, 9 joints, after the rotation of pa_mpjpe"),
            ("accel_si", "m/s^2"),
            ("jitter", "10 m/s^3, 24 joints; root, ankles, feet, wrists and hands count as still"),
        ),
    ),
    DatasetProtocol(
        name="emdb-2",
        description="EMDB 2: 24 SMPL joints in the world, segments of 100 frames",
        joints=JOINT_NAMES,
        root=("pelvis",),
        dataset="emdb",
        split="emdb2",
        frames="good_frames_mask; the camera's motion is the dataset's own, not estimated from the images",
        world=True,
        units=(
            ("wa_mpjpe", "mm, segments of 100 frames aligned as a whole"),
            ("w_mpjpe", "mm, segments of 100 frames aligned by their first two"),
            ("rte", "% of the way gone"),
            ("jitter", "10 m/s^3, 24 joints"),
            (
                "foot_sliding",
                "mm, points of the feet while the reference's stand (below 10 mm a frame)",
            ),
        ),
    ),
)
DATASET_PROTOCOLS: dict[str, DatasetProtocol] = {each.name: each for each in _LIST}


def dataset_protocol(dataset: str, name: str | None) -> DatasetProtocol:
    """The named protocol of a dataset, or its only one.

    Raises:
        InputError: none of that name, or several to choose from.
    """
    ours = [each for each in _LIST if each.dataset == dataset]
    chosen = [each for each in ours if name in (None, each.name)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(each.name for each in ours) or "none"
    raise InputError(
        f"{dataset} has the protocols {names}; got {name!r}. Name one with --protocol: their numbers differ"
    )
