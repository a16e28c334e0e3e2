"""The image variant of D3Pose: features of a backbone instead of landmarks, the rest is the same."""

from d3pose_core.model.image.config import ImageConfig
from d3pose_core.model.image.network import ImageD3Pose

__all__ = ["ImageConfig", "ImageD3Pose"]
