"""Results that others published, each with its year, protocol and source. Nothing here was run by us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_GVHMR = "table of GVHMR (Shen et al., SIGGRAPH Asia 2024)"
_TCMR_4 = "table 4 of TCMR (Choi et al., CVPR 2021), asset/table4.png of hongsukchoi/TCMR_RELEASE"
_TCMR_6 = "table 6 of TCMR (Choi et al., CVPR 2021), asset/table6.png of hongsukchoi/TCMR_RELEASE"
_MPS_NET = "README of MPS-Net/MPS-Net_release (Wei et al., CVPR 2022)"
_GLOT_1 = "table 1 of GLoT (Shen et al., CVPR 2023), asset/table1.png of sxl142/GLoT"
_GLOT_2 = "table 2 of GLoT (Shen et al., CVPR 2023), asset/table2.png of sxl142/GLoT"
_WITH_3DPW = "trained on 3DPW, too"
_ALL_FRAMES = "frontal camera, but every frame at 25 fps instead of every 64th"
_WITHOUT_3DPW = "not trained on 3DPW"


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
        "HMR",
        2018,
        "3dpw-vibe",
        {"pa_mpjpe": 76.7, "mpjpe": 130.0, "accel": 37.4},
        _TCMR_6,
        f"one frame; {_WITHOUT_3DPW}",
    ),
    Published(
        "HMMR",
        2019,
        "3dpw-vibe",
        {"pa_mpjpe": 72.6, "mpjpe": 116.5, "pve": 139.3, "accel": 15.2},
        _TCMR_6,
        _WITHOUT_3DPW,
    ),
    Published(
        "SPIN",
        2019,
        "3dpw-vibe",
        {"pa_mpjpe": 59.2, "mpjpe": 96.9, "pve": 116.4, "accel": 29.8},
        _TCMR_6,
        f"one frame; {_WITHOUT_3DPW}",
    ),
    Published(
        "VIBE",
        2020,
        "3dpw-vibe",
        {"pa_mpjpe": 56.5, "mpjpe": 93.5, "pve": 113.4, "accel": 27.1},
        _TCMR_6,
        _WITHOUT_3DPW,
    ),
    Published(
        "VIBE",
        2020,
        "3dpw-vibe",
        {"pa_mpjpe": 57.6, "mpjpe": 91.9, "accel": 25.4},
        _TCMR_4,
        _WITH_3DPW,
    ),
    Published(
        "MEVA",
        2020,
        "3dpw-vibe",
        {"pa_mpjpe": 54.7, "mpjpe": 86.9, "accel": 11.6},
        _TCMR_4,
        _WITH_3DPW,
    ),
    Published(
        "TCMR",
        2021,
        "3dpw-vibe",
        {"pa_mpjpe": 55.8, "mpjpe": 95.0, "pve": 111.5, "accel": 6.7},
        _TCMR_6,
        _WITHOUT_3DPW,
    ),
    Published(
        "TCMR",
        2021,
        "3dpw-vibe",
        {"pa_mpjpe": 52.7, "mpjpe": 86.5, "pve": 102.9, "accel": 6.8},
        _TCMR_4,
        _WITH_3DPW,
    ),
    Published(
        "MPS-Net",
        2022,
        "3dpw-vibe",
        {"pa_mpjpe": 54.0, "mpjpe": 91.6, "pve": 109.6, "accel": 7.5},
        _GLOT_2,
        _WITHOUT_3DPW,
    ),
    Published(
        "MPS-Net",
        2022,
        "3dpw-vibe",
        {"pa_mpjpe": 52.1, "mpjpe": 84.3, "pve": 99.7, "accel": 7.4},
        _MPS_NET,
        _WITH_3DPW,
    ),
    Published(
        "GLoT",
        2023,
        "3dpw-vibe",
        {"pa_mpjpe": 53.5, "mpjpe": 89.9, "pve": 107.8, "accel": 6.7},
        _GLOT_2,
        _WITHOUT_3DPW,
    ),
    Published(
        "GLoT",
        2023,
        "3dpw-vibe",
        {"pa_mpjpe": 50.6, "mpjpe": 80.7, "pve": 96.3, "accel": 6.6},
        _GLOT_1,
        _WITH_3DPW,
    ),
    Published(
        "HMR",
        2018,
        "human36m-p2",
        {"pa_mpjpe": 56.8, "mpjpe": 88.0},
        _TCMR_6,
        f"one frame; {_ALL_FRAMES}",
    ),
    Published(
        "SPIN", 2019, "human36m-p2", {"pa_mpjpe": 41.1}, _TCMR_6, f"one frame; {_ALL_FRAMES}"
    ),
    Published("VIBE", 2020, "human36m-p2", {"pa_mpjpe": 41.5, "mpjpe": 65.9}, _TCMR_6, _ALL_FRAMES),
    Published("TCMR", 2021, "human36m-p2", {"pa_mpjpe": 41.1, "mpjpe": 62.3}, _TCMR_6, _ALL_FRAMES),
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
    Published(
        "WHAM",
        2024,
        "emdb-1",
        {"pa_mpjpe": 50.4, "mpjpe": 79.7, "pve": 94.4, "accel_si": 5.3},
        "table of WHAM (Shin et al., CVPR 2024), ViT",
        _WITH_3DPW,
    ),
    Published("GVHMR", 2024, "emdb-1", {"pa_mpjpe": 42.7}, _GVHMR),
    Published(
        "GLAMR",
        2022,
        "emdb-2",
        {"wa_mpjpe": 280.8, "w_mpjpe": 726.6, "rte": 11.4, "jitter": 46.3, "foot_sliding": 20.7},
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
        {"wa_mpjpe": 135.6, "w_mpjpe": 354.8, "rte": 6.0, "jitter": 22.5, "foot_sliding": 4.4},
        _GVHMR,
        "camera motion estimated",
    ),
    Published(
        "GVHMR",
        2024,
        "emdb-2",
        {"wa_mpjpe": 111.0, "w_mpjpe": 276.5, "rte": 2.0, "jitter": 16.7, "foot_sliding": 3.5},
        _GVHMR,
        "camera motion estimated; sees the whole clip",
    ),
)


def published_for(protocol: str) -> list[Published]:
    """Those of one protocol, by year."""
    return sorted((p for p in PUBLISHED if p.protocol == protocol), key=lambda p: p.year)
