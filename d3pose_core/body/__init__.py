"""SMPL-format body models: free ones that ship with the package, and your own licensed files."""

from d3pose_core.body.load import FREE_BODIES, load_body
from d3pose_core.body.model import BodyModel, BodyOutput

__all__ = ["FREE_BODIES", "BodyModel", "BodyOutput", "load_body"]
