"""The weights that training changes: all of a model, or with LoRA the adapter and the head."""

from torch import Tensor, nn


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """A model's state without its frozen weights. The tensors are the model's own, not copies."""
    frozen = _frozen(model)
    return {name: values for name, values in model.state_dict().items() if name not in frozen}


def put_trained_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Restore weights that `trained_weights` returned.

    Raises:
        RuntimeError: the weights belong to another model.
    """
    found = model.load_state_dict(weights, strict=False)
    if found.unexpected_keys or set(found.missing_keys) != _frozen(model):
        raise RuntimeError(f"the weights belong to another model: {[*found.unexpected_keys, *found.missing_keys][:1]}")


def _frozen(model: nn.Module) -> set[str]:
    return {name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad}
