"""Huge pages are asked for in time, and neither they nor kept memory change a bit of a result."""

import os
import platform
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

# Blocks of 4 MB and more. The second pass finds freed memory, with other numbers in it. The import is all that a stage
# imports: a tensor made there would come too early for the switch.
WORK = """
import hashlib, sys
import torch
from torch.nn.functional import gelu, layer_norm
import stages.finetune
from src.core.speed.allocator import keep_and_enlarge_pages
if sys.argv[1] == "with":
    keep_and_enlarge_pages()
torch.manual_seed(0)
x, weight = torch.randn(2, 1024, 1024).requires_grad_().unbind()
digest = hashlib.sha256()
for _ in range(2):
    leaf = x.detach().clone().requires_grad_()
    layer_norm(gelu(leaf @ weight), (1024,)).square().sin().mean().backward()
    digest.update(leaf.grad.numpy())
blocks = [torch.empty(2**20) for _ in range(4)]  # any one may begin at a page by chance
print(all(block.data_ptr() % 4096 == 0 for block in blocks), digest.hexdigest())
"""


@pytest.mark.slow
def test_same_bits_on_pages_of_their_own():
    """torch begins blocks for huge pages at a page; without them, glibc's header stands there."""
    unset = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    how_run = {"cwd": REPOSITORY, "env": unset, "capture_output": True, "check": True, "text": True}
    outcomes = [subprocess.run([sys.executable, "-c", WORK, how], **how_run) for how in ("with", "without")]
    (pages, digest), (no_pages, same) = (outcome.stdout.split() for outcome in outcomes)
    assert digest == same
    if platform.libc_ver()[0] == "glibc":  # other systems keep their own ways
        assert (pages, no_pages) == ("True", "False")
