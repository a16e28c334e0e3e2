"""Images in, people out: found, tracked with stable ids, and given 33 landmarks each."""

from d3pose_core.observe.blazepose_detector import BlazePoseDetector
from d3pose_core.observe.observation import (
    UNKNOWN_CERTAINTY,
    Detection,
    PersonDetector,
    PersonObservation,
    PersonObserver,
    Roi,
)
from d3pose_core.observe.observer import BlazePoseObserver
from d3pose_core.observe.onnx_detector import OnnxPersonDetector
from d3pose_core.observe.tracker import TrackerConfig

__all__ = [
    "UNKNOWN_CERTAINTY",
    "BlazePoseDetector",
    "BlazePoseObserver",
    "Detection",
    "OnnxPersonDetector",
    "PersonDetector",
    "PersonObservation",
    "PersonObserver",
    "Roi",
    "TrackerConfig",
]
