"""YAML that people write: training runs of both variants, and the comparison."""

from __future__ import annotations

from pathlib import Path

from d3pose_core.training.comparison import ComparisonConfig
from d3pose_core.training.config import TrainConfig
from d3pose_core.training.image_config import ImageTrainConfig, is_image_config
from fuzz.folder import written
from fuzz.target import Target

_CONFIG = Path(__file__).resolve().parents[2] / "config"
_LOADERS = (TrainConfig.load, ImageTrainConfig.load, ComparisonConfig.load)
_FILES = ("train/landmarks.yaml", "train/image_small.yaml", "bench_models.yaml")


def seeds() -> list[bytes]:
    return [bytes([n]) + (_CONFIG / name).read_bytes() for n, name in enumerate(_FILES)]


def run(data: bytes) -> None:
    load = _LOADERS[data[0] % len(_LOADERS)] if data else _LOADERS[0]
    path = written("config.yaml", data[1:])
    is_image_config(path)
    load(path)


TARGET = Target(
    seeds,
    run,
    (
        *(b": ", b"\n- ", b"[]", b"{}", b"null", b"true", b"-1", b"1e999", b".nan", b".inf", b"'"),
        *(b"&a [*a]", b"<<: *a", b"!!python/object/apply:os.system ['true']", b"!!binary"),
        *(b"!!timestamp", b"2001-01-01", b"network: ", b"loss: ", b"steps: ", b"motions: "),
        *(b"[" * 200, b"9" * 5000, b"\x00", b"\xfe\xff"),
    ),
)
