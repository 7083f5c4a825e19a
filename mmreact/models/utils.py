"""Checks that every network needs."""
from typing import Container

import torch
from torch import Tensor


def check_choice(name: str, value, known: Container) -> None:
    """Raise a ValueError that lists the known values of an option."""
    if value not in known:
        raise ValueError(f'Unknown {name} {value!r}. Known: '
                         f'{", ".join(map(repr, known))}.')


@torch.fx.wrap
def check_input_size(x: Tensor, min_size: int, network: str) -> None:
    """Raise a ValueError if an image is too small for the strides.

    Wrapped, so that torch.fx records the call instead of its comparisons.
    """
    height, width = x.shape[-2:]
    if min(height, width) < min_size:
        raise ValueError(
            f'{network} divides height and width by {min_size}; an input of '
            f'{height}x{width} is too small. Use larger images or fewer '
            'blocks with stride 2.')
