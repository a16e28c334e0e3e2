"""Recovered people and the network in the formats of other tools: BVH, glTF, AMASS, ONNX."""
