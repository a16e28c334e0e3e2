"""The body whose mesh is shown, which may be finer or coarser than the one that is recovered."""

from __future__ import annotations

from d3pose_core.body import BodyModel, load_body
from d3pose_core.errors import InputError
from d3pose_ros.parameters import NodeParameters

MESH_OFF = "off"


def mesh_body(values: NodeParameters, body: BodyModel) -> BodyModel:
    """The body model that the parameter `mesh` asks for, where `body` is the recovered one.

    Raises:
        InputError: a free body's mesh is asked for the shape of another body model.
    """
    if values.mesh in (MESH_OFF, "body", body.name):
        return body
    if not body.name.startswith("free-"):
        raise InputError(
            f"mesh is {values.mesh!r}, but people are recovered as {body.name}, whose shape parameters mean "
            "something else: set mesh to body or off"
        )
    return load_body(values.mesh)
