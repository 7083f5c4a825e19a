"""Small parts that several networks need."""
from typing import Container, List, Optional, Sequence

from torch import Tensor, nn

from ..layers import RPReLU

#: What follows a convolution and its shortcut: name -> module(channels).
ACTIVATIONS = dict(rprelu=RPReLU, prelu=nn.PReLU, none=nn.Identity)


def check_choice(name: str, value, known: Container) -> None:
    """Raise a ValueError that lists the known values of an option."""
    if value not in known:
        raise ValueError(f'Unknown {name} {value!r}. Known: '
                         f'{", ".join(map(repr, known))}.')


def parse_blocks(arch: Sequence, stem_channels: Optional[int]) -> List[tuple]:
    """Check an explicit list of blocks: ``[(out_channels, stride), ...]``.

    Raises:
        ValueError: If it is none, or the stem's channels are not given.
    """
    if not stem_channels:
        raise ValueError('An explicit list of blocks needs stem_channels.')
    blocks = [
        tuple(block) if isinstance(block, Sequence) else (block, )
        for block in arch
    ]
    if not blocks or any(
            len(block) != 2 or block[1] not in (1, 2) for block in blocks):
        raise ValueError('arch must be a name or a list of (out_channels, '
                         f'stride) with stride 1 or 2, got {arch!r}.')
    return blocks


def check_widths(channels: int, blocks: Sequence[tuple]) -> None:
    """Raise a ValueError for a block that neither keeps nor doubles them."""
    for i, (out_channels, _) in enumerate(blocks):
        if out_channels not in (channels, 2 * channels):
            raise ValueError(
                f'Block {i} has {channels} input channels and '
                f'{out_channels} output channels: a block keeps or '
                f'doubles them ({channels} or {2 * channels}).')
        channels = out_channels


def check_input_size(x: Tensor, min_size: int, network: str) -> None:
    """Raise a ValueError if an image is too small for the strides.

    Its callers say ``torch.fx.wrap('check_input_size')``, so that torch.fx
    records the call instead of its comparisons.
    """
    height, width = x.shape[-2:]
    if min(height, width) < min_size:
        raise ValueError(
            f'{network} divides height and width by {min_size}; an input of '
            f'{height}x{width} is too small. Use larger images or fewer '
            'blocks with stride 2.')


def check_smallest_image(x: Tensor, side: int, network: str) -> None:
    """Raise a ValueError if an image is too small for a network.

    For networks whose fully connected layers need features of some size. To
    be wrapped by its callers, see :func:`check_input_size`.
    """
    height, width = x.shape[-2:]
    if min(height, width) < side:
        raise ValueError(
            f'The fully connected layers of {network} need images of at '
            f'least {side}x{side}, got {height}x{width}. Use larger images, '
            'or a network without such layers.')


def check_image_size(x: Tensor, side: int, network: str) -> None:
    """Raise a ValueError if an image is not the one a network is built for.

    To be wrapped by its callers, see :func:`check_input_size`.
    """
    height, width = x.shape[-2:]
    if (height, width) != (side, side):
        raise ValueError(
            f'The fully connected layers of this {network} are built for '
            f'images of {side}x{side}, got {height}x{width}. Resize the '
            'images, or build the network with their input_size.')
