"""What each stage has to do, however it is done: arithmetic, and bytes that must be read or written.

Counted from the networks themselves: the operators of the `.tflite` files, the matrix products of the torch
modules. Only products count, additions and activation functions don't; bytes are weights, inputs and outputs,
without what passes between layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from d3pose_core.body import BodyModel
from d3pose_core.errors import InputError
from d3pose_core.model.d3pose import D3Pose
from d3pose_core.runtime.frames import made_up_frame
from d3pose_core.skeleton import NUM_JOINTS


@dataclass(frozen=True)
class Work:
    """`mflop`: 10^6 float operations, a multiplication and an addition are two; `megabytes`: 10^6 bytes."""

    mflop: float
    megabytes: float

    def times(self, number: float) -> Work:
        """So many of it."""
        return Work(number * self.mflop, number * self.megabytes)


def tflite_work(content: bytes) -> Work:
    """One run of a `.tflite` network: convolutions and matrix products; weights as float32.

    Weights that are stored as sparse are counted as such: what is zero needs no multiplication.

    Raises InputError for a network with products of another kind.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(content), 0))
    graph = model.subgraphs[0]
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    value_bytes = {schema.TensorType.FLOAT16: 2, schema.TensorType.FLOAT32: 4}
    shapes = [tuple(int(n) for n in tensor.shape) for tensor in graph.tensors]
    constants: dict[int, float] = {}  # tensor -> how many numbers it holds
    shares: dict[int, float] = {}  # of a sparse matrix' elements that are stored
    for index, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is not None and tensor.type in value_bytes:
            constants[index] = len(data) / value_bytes[tensor.type]
    products, read = 0.0, set()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs, output = [int(i) for i in operator.inputs], int(operator.outputs[0])
        read |= {i for i in inputs if i in constants}
        if kind == "DENSIFY":
            shares[output] = constants[inputs[0]] / float(np.prod(shapes[inputs[0]]))
        elif kind == "DEQUANTIZE":
            shares[output] = shares.get(inputs[0], 1.0)
        else:
            share = shares.get(inputs[1], 1.0) if len(inputs) > 1 else 1.0
            products += share * _products(kind, [shapes[i] for i in inputs], shapes[output])
    ends = sum(float(np.prod(shapes[int(i)])) for i in [*graph.inputs, *graph.outputs])
    numbers = sum(constants[i] for i in read) + ends
    return Work(2 * products / 1e6, 4 * numbers / 1e6)


# Operators without products, beside those that only bring weights into the form in which they are used.
_NO_PRODUCTS = frozenset(
    (
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "DEPTH_TO_SPACE", "HARD_SWISH", "LOGISTIC"),
        *(
            "MAX_POOL_2D",
            "MEAN",
            "MUL",
            "PAD",
            "RELU",
            "RELU6",
            "RESHAPE",
            "RESIZE_BILINEAR",
            "SUB",
        ),
    )
)


def _products(kind: str, inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    """Multiplications with an addition in one operator. Weights are the second input: [out, y, x, in]."""
    if kind in _NO_PRODUCTS:
        return 0
    outputs = int(np.prod(output))
    if kind == "CONV_2D":
        return outputs * int(np.prod(inputs[1][1:]))
    if kind == "DEPTHWISE_CONV_2D":  # weights [1, y, x, out]
        return outputs * int(np.prod(inputs[1][1:3]))
    if (
        kind == "TRANSPOSE_CONV"
    ):  # shape, weights [out, y, x, in], input: each input meets each weight
        return int(np.prod(inputs[2])) * int(np.prod(inputs[1][:3]))
    if kind == "FULLY_CONNECTED":
        return outputs * inputs[1][-1]
    raise InputError(f"cannot count the operations of {kind} in a .tflite network")


@torch.inference_mode()
def network_work(model: D3Pose, people: int) -> Work:
    """One streaming step of so many people: products of matrices; weights once, states in and out."""
    device = next(model.parameters()).device
    state = model.initial_state(people)
    frame = made_up_frame(people, torch.Generator().manual_seed(0)).to(device)
    with FlopCounterMode(display=False) as counter:
        model.step(frame, state)
    numbers = sum(p.numel() for p in model.parameters()) + 2 * sum(
        t.numel() for t in state.tensors()
    )
    return Work(counter.get_total_flops() / 1e6, 4 * numbers / 1e6)


@torch.inference_mode()
def joints_work(body: BodyModel, people: int) -> Work:
    """Joints of so many people, without the mesh."""
    with FlopCounterMode(display=False) as counter:
        body.joints_matrices(*_standing(body, people))
    numbers = body.joint_template.numel() + body.joint_shapedirs.numel()
    return Work(counter.get_total_flops() / 1e6, 4 * (numbers + people * NUM_JOINTS * 15) / 1e6)


def mesh_work(body: BodyModel, people: int) -> Work:
    """The whole mesh of so many people; zeros of the pose correctives are neither read nor multiplied."""
    correctives = int((body.pose_displacements != 0).sum())
    shape, weights = 3 * body.num_betas, NUM_JOINTS  # numbers of a vertex
    products = correctives + body.num_vertices * (shape + 12 * weights + 9)
    # Of a corrective also its place; and template and result.
    numbers = 2 * correctives + body.num_vertices * (shape + weights + 3 + 3 * people)
    return Work(2 * people * products / 1e6, 4 * numbers / 1e6)


def image_work(width: int, height: int) -> Work:
    """Writing one decoded image."""
    return Work(0.0, 3 * width * height / 1e6)


def _standing(body: BodyModel, people: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    device = body.joint_template.device
    rotations = torch.eye(3, device=device).expand(people, NUM_JOINTS, 3, 3)
    betas = torch.zeros(people, body.num_betas, device=device)
    return rotations, betas, torch.zeros(people, 3, device=device)
