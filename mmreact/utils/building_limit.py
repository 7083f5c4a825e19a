"""Build what a stranger's config describes in bounded memory."""
from typing import Any, Mapping

import torch
from torch.utils._python_dispatch import TorchDispatchMode

#: What every tensor counts at least, for the objects around it.
LEAST = 1_000
#: Numbers that building may make beside those of a checkpoint.
FREE = 200_000_000


class TooLargeError(ValueError):
    """A config describes more than belongs to its checkpoint."""


class BuildingLimit(TorchDispatchMode):
    """Within, new tensors hold a bounded number of numbers in all.

    Args:
        numbers (int): How many numbers new tensors may hold.

    Raises:
        TooLargeError: Within, before a tensor is made that goes beyond.
    """

    def __init__(self, numbers: int):
        super().__init__()
        self.numbers, self.made = numbers, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if _makes_tensors(func):
            size = func(*args, **{**kwargs, 'device': 'meta'}).numel()
            self.made += max(LEAST, size)
            if self.made > self.numbers:
                raise TooLargeError(
                    f'building it makes more than {self.numbers:,} numbers')
        return func(*args, **kwargs)


def _makes_tensors(func) -> bool:
    """Whether an operation takes no tensors, and gives a new one."""
    arguments = func._schema.arguments
    return any(arg.name == 'device' for arg in arguments) and not any(
        isinstance(arg.type, torch.TensorType) for arg in arguments)


def limit_for(checkpoint: Mapping) -> BuildingLimit:
    """Room for a network whose weights a checkpoint holds.

    Four times its numbers: initializers and buffers make some as well.
    """
    return BuildingLimit(FREE + 4 * _count(checkpoint))


def _count(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, Mapping):
        return sum(map(_count, value.values()))
    return 0
