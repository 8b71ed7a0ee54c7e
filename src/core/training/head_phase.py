"""The last phase of a run with `head_epochs`: only the head is trained, on features that are computed once."""

from dataclasses import replace

import torch

from src.core.speed.head_alone import head_alone, row_numbers
from src.core.training.batches import LabelledTokens
from src.core.training.inference import predict
from src.core.training.loop import Setup


def with_head_alone(setup: Setup) -> Setup:
    """The same run with only the head as its model, and row numbers as its texts.

    Rows without a label are left out. Features are computed without dropout, and every process computes all of them.
    """
    data, device = setup.data, setup.accelerator.device
    setup.model.to(device)  # a run that goes on from a checkpoint has had no earlier phase to do so
    train, selection = data.train.labelled(), data.selection
    features = [predict(setup.model, split.tokens, setup.accelerator).features for split in (train, selection)]
    own_train = LabelledTokens(row_numbers(0, len(train.labels)), train.labels)
    own_selection = LabelledTokens(row_numbers(len(train.labels), len(selection.labels)), selection.labels)
    diagnostic = own_train.first(len(data.diagnostic.labels))
    return replace(
        setup,
        model=head_alone(setup.model, torch.cat(features).to(device), setup.precision),
        data=replace(data, train=own_train, selection=own_selection, diagnostic=diagnostic),
    )
