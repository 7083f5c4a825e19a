"""How other sizes of an image become operations: borders and resizing."""
from typing import Optional

import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.utils import _pair

from ..packed import ops
from .draft import Ref
from .rows import Site, lowers


@lowers(F.pad)
def pad(site: Site,
        input: Ref,
        pad,
        mode: str = 'constant',
        value: Optional[float] = None) -> Ref:
    site.require(mode == 'constant',
                 f'it pads by {mode!r}; known are constants')
    sides = [tuple(pad[i:i + 2]) for i in range(0, len(pad), 2)]
    sides += [(0, 0)] * (len(input.shape) - len(sides))
    *sides, batch = sides
    site.require(not any(batch), 'it adds images')
    sides = [*reversed(sides), (0, 0), (0, 0)][:3]
    cut = [tuple(max(0, -n) for n in side) for side in sides]
    added = [tuple(max(0, n) for n in side) for side in sides]
    padded = any(map(any, added))
    input = _cut(site, input, *cut, part='cut' if padded else '')
    if not padded:
        return input
    channels, rows, columns = added
    return site.add(
        ops.Pad,
        input,
        channels=channels,
        rows=rows,
        columns=columns,
        value=float(value or 0))


def _cut(site: Site, x: Ref, channels, rows, columns, part: str) -> Ref:
    """Without what a negative padding takes away."""
    if any(channels):
        start, stop = channels[0], x.channels - channels[1]
        x = site.add(
            ops.Slice, x, part=part or 'channels', start=start, stop=stop)
    if any(rows + columns):
        x = site.add(ops.Crop, x, part=part, rows=rows, columns=columns)
    return x


@lowers(F.interpolate)
def interpolate(site: Site,
                input: Ref,
                size=None,
                scale_factor=None,
                mode: str = 'nearest',
                align_corners: Optional[bool] = None,
                recompute_scale_factor: Optional[bool] = None,
                antialias: bool = False) -> Ref:
    site.require(
        mode in ('nearest', 'bilinear') and not antialias,
        f'its mode is {mode!r}{" with antialiasing" * antialias}; known are '
        'nearest and bilinear')
    kind = dict(bilinear=mode == 'bilinear', align_corners=bool(align_corners))
    if size is not None:
        return site.add(ops.Resize, input, size=_pair(size), **kind)
    factors = [float(f) for f in _pair(scale_factor)]
    if recompute_scale_factor:
        size = tuple(int(n * f) for n, f in zip(input.shape[2:], factors))
        return site.add(ops.Resize, input, size=size, sized=True, **kind)
    vertical, horizontal = factors
    return site.add(
        ops.Resize, input, vertical=vertical, horizontal=horizontal, **kind)


@lowers(F.conv_transpose2d)
def conv_transpose2d(site: Site,
                     input: Ref,
                     weight: Tensor,
                     bias: Optional[Tensor] = None,
                     stride=1,
                     padding=0,
                     output_padding=0,
                     groups: int = 1,
                     dilation=1) -> Ref:
    weight = site.array(weight)
    return site.add(
        ops.ConvTranspose2d,
        input,
        weight=weight,
        bias=site.array(bias, weight.shape[1] * groups, 0.),
        stride=_pair(stride),
        padding=_pair(padding),
        output_padding=_pair(output_padding),
        dilation=_pair(dilation),
        groups=groups)
