"""How views of a value become operations: mostly not at all."""
from typing import Sequence, Union

import torch

from .arrangement import Arranged, arrange, expand, permute, regroup, shape_of
from .draft import Ref
from .rows import Site, lowers
from .settling import settle

Value = Union[Ref, Arranged]


def sizes_of(value: Value) -> tuple:
    """The shape that torch sees, with ``IMAGES`` images."""
    return value.shape if isinstance(value, Arranged) else shape_of(value)


def _sizes(sizes) -> Sequence[int]:
    """Sizes given one by one, or as one tuple."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        return tuple(sizes[0])
    return tuple(sizes)


@lowers(torch.reshape, 'view', 'reshape', views=True)
def view(site: Site, input: Value, *shape) -> Value:
    shape = _sizes(shape)
    site.require(
        all(isinstance(n, int) for n in shape), f'view({shape}) is not known')
    try:
        return settle(site, regroup(arrange(input), shape))
    except ValueError as error:
        old, new = (
            tuple('N' if n == sizes_of(input)[0] else int(n) for n in sizes)
            for sizes in (sizes_of(input), shape))
        site.fail(f'{old} as {new}: {error}')


@lowers('view_as', 'reshape_as', views=True)
def view_as(site: Site, input: Value, other: Value) -> Value:
    return view(site, input, *sizes_of(other))


@lowers(torch.flatten, 'flatten', views=True)
def flatten(site: Site, input: Value, start_dim: int = 0, end_dim: int = -1):
    sizes = sizes_of(input)
    first, last = start_dim % len(sizes), end_dim % len(sizes)
    site.require(first > 0, 'it flattens images together')
    return view(site, input, *sizes[:first], -1, *sizes[last + 1:])


@lowers(torch.unflatten, 'unflatten', views=True)
def unflatten(site: Site, input: Value, dim: int, sizes) -> Value:
    old = sizes_of(input)
    dim %= len(old)
    return view(site, input, *old[:dim], *sizes, *old[dim + 1:])


@lowers(torch.squeeze, 'squeeze', views=True)
def squeeze(site: Site, input: Value, dim=None) -> Value:
    sizes = sizes_of(input)
    dims = range(len(sizes)) if dim is None else ((
        dim, ) if isinstance(dim, int) else dim)
    dims = {d % len(sizes) for d in dims}
    return view(site, input,
                *(n for d, n in enumerate(sizes) if n != 1 or d not in dims))


@lowers(torch.unsqueeze, 'unsqueeze', views=True)
def unsqueeze(site: Site, input: Value, dim: int) -> Value:
    sizes = list(sizes_of(input))
    sizes.insert(dim % (len(sizes) + 1), 1)
    return view(site, input, *sizes)


@lowers(torch.permute, 'permute', views=True)
def permute_dims(site: Site, input: Value, *dims) -> Value:
    value = arrange(input)
    order = [d % len(value.dims) for d in _sizes(dims)]
    return settle(site, permute(value, order))


@lowers(
    torch.transpose,
    'transpose',
    torch.swapaxes,
    'swapaxes',
    torch.swapdims,
    'swapdims',
    views=True)
def transpose(site: Site, input: Value, dim0: int, dim1: int) -> Value:
    order = list(range(len(sizes_of(input))))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute_dims(site, input, *order)


@lowers('expand', torch.broadcast_to, 'broadcast_to', views=True)
def expand_to(site: Site, input: Value, *sizes) -> Value:
    return settle(site, expand(arrange(input), _sizes(sizes)))


@lowers('expand_as', views=True)
def expand_as(site: Site, input: Value, other: Value) -> Value:
    return expand_to(site, input, *sizes_of(other))


@lowers(
    'contiguous',
    'detach',
    'clone',
    'float',
    'cpu',
    torch.clone,
    torch.detach,
    views=True)
def same(site: Site, input: Value, *, memory_format=None) -> Value:
    return input


@lowers('to', 'type_as', views=True)
def to(site: Site, input: Value, *what, **options) -> Value:
    dtypes = [
        x for x in (*what, *options.values()) if isinstance(x, torch.dtype)
    ]
    site.require(
        all(dtype.is_floating_point for dtype in dtypes),
        f'{dtypes} is no floating point')
    return input


@lowers(getattr, views=True)
def attribute(site: Site, input: Value, name: str) -> Value:
    site.require(name == 'data', f'the attribute {name!r} is not known')
    return input


@lowers(torch.channel_shuffle, torch.native_channel_shuffle, views=True)
def channel_shuffle(site: Site, input: Ref, groups: int) -> Value:
    images, channels, *sides = sizes_of(input)
    value = regroup(
        arrange(input), (images, groups, channels // groups, *sides))
    order = [0, 2, 1, *range(3, 3 + len(sides))]
    return settle(site,
                  regroup(permute(value, order), (images, channels, *sides)))
