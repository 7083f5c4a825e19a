"""Arranged values as values of the program again."""
from dataclasses import fields
from typing import List, Union

import numpy as np

from ..packed import ops
from .arrangement import Arranged, channel_order
from .draft import Draft, Ref
from .rows import Site

#: So many pieces of channels are sliced and joined; else a 1x1 convolution
#: moves the channels.
MAX_PIECES = 8


def settle(site: Site, value: Arranged) -> Union[Ref, Arranged]:
    """The image or vector that a value is; itself where it is neither."""
    base, sides = value.base, len(value.dims) - 2
    if sides not in (0, 2):
        return value
    if sides == 2 and len(base.shape) == 2 and value.dims[2:] == ((), ()):
        base = as_image(site, base)
    try:
        order = channel_order(Arranged(base, value.dims))
    except ValueError:
        return value
    flat = sides == 0 and len(base.shape) == 4
    if order != list(range(len(order))):
        base = _reorder(site, base, order, part='order' if flat else '')
    return site.add(ops.Flatten, base) if flat else base


def _reorder(site: Site, x: Ref, order: List[int], part: str) -> Ref:
    """Channel ``order[i]`` as channel ``i``; exact."""
    groups = x.channels // max(order[1], 1)
    if order == [(k % groups) * order[1] + k // groups
                 for k in range(x.channels)]:
        return site.add(ops.ChannelShuffle, x, part=part, groups=groups)
    cuts = [i for i in range(1, len(order)) if order[i] != order[i - 1] + 1]
    if len(cuts) < MAX_PIECES:
        pieces = [
            site.add(
                ops.Slice,
                x,
                part='piece',
                start=order[a],
                stop=order[b - 1] + 1)
            for a, b in zip([0, *cuts], [*cuts, len(order)])
        ]
        return site.add(ops.Concat, *pieces, part=part)
    weight = np.eye(x.channels)[order]
    bias = np.zeros(len(order))
    if len(x.shape) == 2:
        return site.add(ops.Linear, x, part=part, weight=weight, bias=bias)
    return site.add(
        ops.Conv2d, x, part=part, weight=weight[:, :, None, None], bias=bias)


def as_image(site: Site, vector: Ref) -> Ref:
    """A vector as an image of one pixel.

    No operation does that: the operations that gave the vector are made
    again for images, back to where an image of one pixel was flattened.
    """
    op = site.draft.operations.get(vector.name)
    if isinstance(op, ops.Flatten):
        source = site.draft.ref(op.inputs[0])
        site.require(source.shape[2:] == (1, 1),
                     f'a vector of {source.shape} is viewed as one pixel')
        return source
    inputs = [
        as_image(site, x) if len(x.shape) == 2 else x
        for x in map(site.draft.ref, op.inputs)
    ]
    cls, constants = type(op), {
        f.name: getattr(op, f.name)
        for f in fields(op)[2:]
    }
    if cls is ops.Linear:
        cls = ops.Conv2d
        constants['weight'] = op.weight[:, :, None, None]
    elif cls is ops.BinaryLinear:
        cls = ops.BinaryConv2d
        constants['weight'] = op.weight[:, None, None]
    return _again(site.draft, op.name, cls, inputs, constants)


def _again(draft: Draft, name: str, cls, inputs, constants) -> Ref:
    node, draft.node = draft.node, draft.origins[name]
    ref = draft.add(cls, f'{name}.pixel', *inputs, **constants)
    draft.node = node
    return ref
