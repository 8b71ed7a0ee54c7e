"""Dynamic quantisation: weights are in 8 bits, and inputs of products are rounded to 8 bits at run time."""

from pathlib import Path

from src.export.extra import quiet


def write_int8(source: Path, target: Path) -> None:
    """Write a model file whose embeddings and weight products are in 8 bits. No rows are needed to calibrate it.

    Weights use 7 of the 8 bits. With 8, CPUs without VNNI would overflow and give other numbers than CPUs with it.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic  # an extra

    with quiet():  # its warning advises a step that changes nothing here
        quantize_dynamic(source, target, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
