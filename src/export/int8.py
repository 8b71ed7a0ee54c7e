"""Dynamic quantisation: weights in 8 bits, what enters their products in 8 bits as it comes."""

from pathlib import Path

from src.export.extra import quiet


def write_int8(source: Path, target: Path) -> None:
    """Write a model file whose tables and products of weights are in 8 bits; it needs no rows to be fitted to.

    Weights take 7 of the 8 bits, since CPUs without VNNI would overflow on 8, and give other numbers than those with.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic  # an extra

    with quiet():  # it advises a step that changes nothing here
        quantize_dynamic(source, target, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
