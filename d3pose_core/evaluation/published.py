"""Results that others published, each with its year, protocol and source. Nothing here was run by us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_GVHMR = "table of GVHMR (Shen et al., SIGGRAPH Asia 2024)"


@dataclass(frozen=True)
class Published:
    """`metrics` by their names in the protocol; a number that the source doesn't give is left out."""

    system: str
    year: int
    protocol: str
    metrics: Mapping[str, float]
    source: str
    remark: str = ""


PUBLISHED: tuple[Published, ...] = (
    Published(
        "SPIN",
        2019,
        "3dpw-vibe",
        {"pa_mpjpe": 59.2},
        "README of mkocabas/VIBE (Kocabas et al., CVPR 2020)",
        "one frame",
    ),
    Published(
        "Temporal HMR",
        2019,
        "3dpw-vibe",
        {"pa_mpjpe": 76.7},
        "README of mkocabas/VIBE (Kocabas et al., CVPR 2020)",
    ),
    Published(
        "VIBE",
        2020,
        "3dpw-vibe",
        {"pa_mpjpe": 56.5},
        "README of mkocabas/VIBE (Kocabas et al., CVPR 2020)",
        "not trained on 3DPW",
    ),
    Published(
        "VIBE",
        2020,
        "3dpw-vibe",
        {"pa_mpjpe": 51.9},
        "README of mkocabas/VIBE (Kocabas et al., CVPR 2020)",
        "trained on 3DPW, too",
    ),
    Published(
        "VIBE, trained by mmhuman3d",
        2021,
        "3dpw-vibe",
        {"mpjpe": 94.89, "pa_mpjpe": 57.08},
        "configs/vibe/README.md of open-mmlab/mmhuman3d",
        "another implementation",
    ),
    Published(
        "HMR 2.0",
        2023,
        "3dpw-wham",
        {"pa_mpjpe": 44.4, "mpjpe": 69.8, "pve": 82.2, "accel_si": 18.1},
        _GVHMR,
        "one frame",
    ),
    Published(
        "WHAM",
        2024,
        "3dpw-wham",
        {"pa_mpjpe": 35.9, "mpjpe": 57.8, "pve": 68.7, "accel_si": 6.6},
        _GVHMR,
        "trained on 3DPW, too",
    ),
    Published(
        "GVHMR",
        2024,
        "3dpw-wham",
        {"pa_mpjpe": 36.2, "mpjpe": 55.6, "pve": 67.2, "accel_si": 5.0},
        _GVHMR,
        "trained on 3DPW, too; sees the whole clip",
    ),
    Published("HMR 2.0", 2023, "emdb-1", {"pa_mpjpe": 60.6}, _GVHMR, "one frame"),
    Published("WHAM", 2024, "emdb-1", {"pa_mpjpe": 50.4}, _GVHMR),
    Published("GVHMR", 2024, "emdb-1", {"pa_mpjpe": 42.7}, _GVHMR),
    Published(
        "GLAMR",
        2022,
        "emdb-2",
        {"wa_mpjpe": 280.8, "w_mpjpe": 726.6, "jitter": 46.3, "foot_sliding": 20.7},
        _GVHMR,
        "camera motion estimated",
    ),
    Published(
        "SLAHMR",
        2023,
        "emdb-2",
        {"wa_mpjpe": 326.9, "w_mpjpe": 776.1, "jitter": 31.3, "foot_sliding": 14.5},
        _GVHMR,
        "camera motion estimated; optimisation over the whole clip",
    ),
    Published(
        "WHAM",
        2024,
        "emdb-2",
        {"wa_mpjpe": 135.6, "w_mpjpe": 354.8, "jitter": 22.5, "foot_sliding": 4.4},
        _GVHMR,
        "camera motion estimated",
    ),
    Published(
        "GVHMR",
        2024,
        "emdb-2",
        {"wa_mpjpe": 111.0, "w_mpjpe": 276.5, "jitter": 16.7, "foot_sliding": 3.5},
        _GVHMR,
        "camera motion estimated; sees the whole clip",
    ),
)


def published_for(protocol: str) -> list[Published]:
    """Those of one protocol, by year."""
    return sorted((p for p in PUBLISHED if p.protocol == protocol), key=lambda p: p.year)
