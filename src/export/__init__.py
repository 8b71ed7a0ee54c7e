"""Exports a kept model as ONNX, which runs without torch and without this project."""
