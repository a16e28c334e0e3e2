"""Ways to execute the network's streaming step: the same numbers, at different speeds.

    from d3pose_core.runtime.choice import open_runtime

    step = open_runtime(model, "auto")
    state = step.initial_state(batch=1)
    prediction, view, state = step.step(frame, state)

| runtime | executes | where |
|---|---|---|
| torch | `D3Pose.step`, layer by layer | anywhere |
| onnx | the single-frame graph in ONNX Runtime | CPU |
| cuda-graph | the single-frame module, its kernels launched as one | an NVIDIA GPU |
"""

AUTO, TORCH, ONNX, CUDA_GRAPH = RUNTIMES = ("auto", "torch", "onnx", "cuda-graph")
