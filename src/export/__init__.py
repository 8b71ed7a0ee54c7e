"""A kept model as a folder to take away: ONNX, which runs without torch and without this project."""
