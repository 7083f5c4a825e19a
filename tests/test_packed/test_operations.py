"""Every operation of a packed program against torch, and its checks."""
import math
import re
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmreact.packed import OPERATIONS, ProgramError, ops
from mmreact.packed.bits import pack
from mmreact.packed.ops import Value, kind_of
from mmreact.packed.reference import FUNCTIONS, run_operation

FLOAT_MAX = float(np.finfo(np.float32).max)


def real(*shape, seed=0):
    """Random numbers; a few are exactly 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype(np.float32)
    return np.where(rng.random(shape) < 0.1, np.float32(0), x)


def signs(*shape, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 2, shape) * 2 - 1).astype(np.int8)


def double(x):
    return torch.from_numpy(x.astype(np.float64))


def column(values, x):
    return double(values).view(-1, *[1] * (x.ndim - 2))


# size, (Cin, Cout), kernel, stride, padding, dilation, groups
WINDOWS = [
    ((1, 1), (1, 1), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((1, 1), (3, 2), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 1), (2, 3), (3, 3), (2, 2), (2, 2), (2, 2), 1),
    ((5, 4), (63, 5), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((5, 7), (64, 3), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((6, 6), (65, 4), (1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((4, 3), (130, 2), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((7, 5), (4, 6), (3, 2), (2, 1), (1, 0), (1, 2), 2),
    ((5, 5), (130, 4), (3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((5, 5), (6, 6), (3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((3, 9), (2, 130), (3, 5), (3, 2), (4, 1), (2, 2), 1),
    ((2, 2), (2, 2), (2, 2), (5, 5), (3, 3), (1, 1), 1),
]


def conv(x, weight, window):
    _, _, _, stride, padding, dilation, groups = window
    return F.conv2d(
        double(x), double(weight), None, stride, padding, dilation, groups)


def attributes(window):
    _, _, _, stride, padding, dilation, groups = window
    return dict(
        stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv2d(window, make):
    size, (cin, cout), kernel, *_, groups = window
    x, weight = make(2, cin, *size), real(cout, cin // groups, *kernel)
    bias = real(cout, seed=2)
    op = ops.Conv2d('op', ('x', ), weight, bias, **attributes(window))
    y = conv(x, weight, window)
    return op, [x], y + column(bias, y)


def binary_conv2d(window, make, exact=False):
    size, (cin, cout), kernel, *_, groups = window
    x, weight = make(2, cin, *size), signs(cout, cin // groups, *kernel)
    scale, shift = real(cout, seed=2), real(cout, seed=3)
    if exact:  # The sum itself, which float32 holds exactly.
        scale, shift = np.ones_like(scale), np.zeros_like(shift)
    words = pack(weight.transpose(0, 2, 3, 1))
    op = ops.BinaryConv2d('op', ('x', ), words, scale, shift, cin,
                          **attributes(window))
    y = conv(x, weight, window)
    return op, [x], y * column(scale, y) + column(shift, y)


# size, (Cin, Cout), kernel, stride, padding, output_padding, dilation, groups
TRANSPOSED = [
    ((1, 1), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((4, 5), (3, 2), (2, 2), (2, 2), (0, 0), (0, 0), (1, 1), 1),
    ((3, 4), (5, 7), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 1),
    ((3, 2), (33, 40), (4, 4), (2, 2), (1, 1), (0, 0), (1, 1), 1),
    ((5, 3), (6, 4), (3, 2), (1, 3), (2, 0), (0, 2), (1, 1), 2),
    ((4, 4), (4, 4), (3, 3), (2, 1), (0, 1), (1, 0), (2, 1), 4),
    ((2, 3), (8, 64), (3, 3), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 2), (2, 3), (2, 3), (5, 4), (1, 2), (0, 3), (1, 1), 1),
    ((6, 7), (2, 3), (3, 3), (2, 2), (4, 5), (1, 0), (1, 2), 1),
    ((9, 8), (2, 3), (1, 1), (1, 1), (3, 3), (0, 0), (1, 1), 1),
    ((3, 3), (2, 2), (3, 3), (1, 1), (0, 0), (2, 2), (3, 3), 1),
]


def conv_transpose2d(window, make):
    size, (cin, cout), kernel, stride, padding, end, dilation, groups = window
    x, weight = make(2, cin, *size), real(cin, cout // groups, *kernel)
    bias = real(cout, seed=2)
    op = ops.ConvTranspose2d('op', ('x', ), weight, bias, stride, padding, end,
                             dilation, groups)
    y = F.conv_transpose2d(
        double(x), double(weight), double(bias), stride, padding, end, groups,
        dilation)
    return op, [x], y


def linear(cin, cout, make):
    x, weight, bias = make(3, cin), real(cout, cin), real(cout)
    op = ops.Linear('op', ('x', ), weight, bias)
    return op, [x], F.linear(double(x), double(weight), double(bias))


def binary_linear(cin, cout, make):
    x, weight = make(3, cin), signs(cout, cin)
    scale, shift = real(cout), real(cout, seed=2)
    op = ops.BinaryLinear('op', ('x', ), pack(weight), scale, shift, cin)
    y = F.linear(double(x), double(weight))
    return op, [x], y * double(scale) + double(shift)


def sign(shape):
    """Thresholds that are hit exactly, infinite and, with flip, reversed."""
    x, threshold = real(*shape), real(shape[1], seed=2)
    x[:, 0] = threshold[0]
    threshold[1:3] = np.inf, -np.inf
    flip = (np.arange(shape[1]) % 2).astype(np.uint8)
    op = ops.Sign('op', ('x', ), threshold, flip)
    turn = 1 - 2 * column(flip, x)
    y = torch.where(turn * double(x) > turn * column(threshold, x), 1, -1)
    return op, [x], y


def affine(shape, make):
    x, scale, shift = make(*shape), real(shape[1]), real(shape[1], seed=2)
    op = ops.Affine('op', ('x', ), scale, shift)
    return op, [x], double(x) * column(scale, x) + column(shift, x)


def rprelu(shape):
    x = real(*shape)
    gamma, beta, zeta = (real(shape[1], seed=i) for i in (2, 3, 4))
    x[:, 0] = gamma[0]
    op = ops.RPReLU('op', ('x', ), gamma, beta, zeta)
    y = F.prelu(double(x) - column(gamma, x), double(beta))
    return op, [x], y + column(zeta, x)


def clamp(low, high):
    x = real(2, 3, 4, 4)
    op = ops.Clamp('op', ('x', ), low, high)
    return op, [x], torch.from_numpy(x).clamp(low, high)


def elementwise(cls, function, **attributes):
    x = np.concatenate([real(2, 3, 4, 4), 40 * real(2, 3, 4, 4, seed=2)])
    x[0, 0, 0] = -3, 3, 0, -0.
    return cls('op', ('x', ), **attributes), [x], function(double(x))


def two(cls, function, a, b):
    return cls('op', ('a', 'b')), [a, b], function(double(a), double(b))


def scale(shape, factor, make):
    x, factor = make(*shape), real(*factor)
    op = ops.Scale('op', ('x', ), factor)
    return op, [x], double(x) * double(factor)


def concat(make, *channels):
    xs = [make(2, c, 3, 2, seed=c) for c in channels]
    op = ops.Concat('op', tuple(f'x{i}' for i in range(len(xs))))
    return op, xs, torch.cat([torch.from_numpy(x) for x in xs], 1)


def slice_(make, start, stop):
    x = make(2, 7, 3, 2)
    op = ops.Slice('op', ('x', ), start, stop)
    return op, [x], torch.from_numpy(x)[:, start:stop]


def pad(shape, channels, rows, columns, value, make):
    x = make(*shape)
    op = ops.Pad('op', ('x', ), channels, rows, columns, value)
    sides = (*columns, *rows, *channels)[-2 * (len(shape) - 2) - 2:]
    return op, [x], F.pad(double(x), sides, value=value)


def crop(rows, columns, stride, make):
    x = make(2, 3, 7, 8)
    op = ops.Crop('op', ('x', ), rows, columns, stride)
    y = torch.from_numpy(x)[:, :, rows[0]:7 - rows[1]:stride[0],
                            columns[0]:8 - columns[1]:stride[1]]
    return op, [x], y


def channel_shuffle(shape, groups, make):
    x = make(*shape)
    op = ops.ChannelShuffle('op', ('x', ), groups)
    y = F.channel_shuffle(torch.from_numpy(x)[..., None], groups)
    return op, [x], y[..., 0]


def norm(shape, groups, eps, make):
    """Group normalization; that of each pixel if groups is None."""
    x, channels = make(*shape), shape[1]
    weight, bias = real(channels, seed=2), real(channels, seed=3)
    rows = double(weight), double(bias)
    if groups is None:
        op = ops.LayerNorm('op', ('x', ), weight, bias, eps)
        y = F.layer_norm(double(x).movedim(1, -1), [channels], *rows, eps)
        return op, [x], y.movedim(-1, 1)
    op = ops.GroupNorm('op', ('x', ), weight, bias, groups, eps)
    return op, [x], F.group_norm(double(x), groups, *rows, eps)


def over_channels(cls, function, shape):
    x = real(*shape)
    x[0] *= 100
    return cls('op', ('x', )), [x], function(double(x), 1)


def resize(size, output, bilinear, align_corners, make):
    """By size or by factors; nearest as torch computes it in float32."""
    x = make(2, 5, *size)
    by_size = isinstance(output[0], int)
    args = (output, 0., 0.) if by_size else ((0, 0), *output)
    op = ops.Resize('op', ('x', ), *args, bilinear, align_corners)
    options = dict(size=output) if by_size else dict(scale_factor=output)
    if bilinear:
        options.update(mode='bilinear', align_corners=align_corners)
    y = double(x) if bilinear else torch.from_numpy(x).float()
    return op, [x], F.interpolate(y, **options)


# size, kernel, stride, padding, dilation
POOLS = [
    ((1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    ((7, 7), (7, 7), (1, 1), (0, 0), (1, 1)),
    ((6, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((7, 5), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((8, 8), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((7, 6), (3, 2), (2, 3), (1, 1), (1, 1)),
    ((5, 4), (3, 3), (3, 3), (1, 0), (1, 1)),
    ((2, 3), (2, 3), (5, 4), (1, 1), (1, 1)),
    ((9, 8), (3, 2), (2, 3), (1, 1), (2, 3)),
]


def avg_pool2d(pool, ceil_mode, count_include_pad, make):
    size, kernel, stride, padding, _ = pool
    x = make(2, 3, *size)
    op = ops.AvgPool2d('op', ('x', ), kernel, stride, padding, ceil_mode,
                       count_include_pad)
    y = F.avg_pool2d(
        double(x), kernel, stride, padding, ceil_mode, count_include_pad)
    return op, [x], y


def max_pool2d(pool, ceil_mode):
    size, kernel, stride, padding, dilation = pool
    x = real(2, 3, *size) - 3  # below the padding of a careless maximum
    op = ops.MaxPool2d('op', ('x', ), kernel, stride, padding, dilation,
                       ceil_mode)
    y = F.max_pool2d(
        double(x), kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    return op, [x], y


def adaptive_avg_pool2d(size, output, make):
    x = make(2, 3, *size)
    op = ops.AdaptiveAvgPool2d('op', ('x', ), output)
    return op, [x], F.adaptive_avg_pool2d(double(x), output)


def adaptive_max_pool2d(size, output):
    x = real(2, 3, *size) - 3
    op = ops.AdaptiveMaxPool2d('op', ('x', ), output)
    return op, [x], F.adaptive_max_pool2d(double(x), output)


def channel_mean(shape, make):
    x = make(*shape)
    return ops.ChannelMean('op', ('x', )), [x], double(x).mean(1, True)


def flatten(shape, make):
    x = make(*shape)
    return ops.Flatten('op', ('x', )), [x], torch.from_numpy(x).flatten(1)


IMAGE, VECTOR = (2, 5, 4, 3), (2, 5)
BROADCASTS = [
    (real(*IMAGE), real(*IMAGE, seed=2)),
    (real(*IMAGE), real(2, 5, 1, 1)),
    (real(2, 1, 4, 3), signs(*IMAGE)),
    (signs(2, 5, 1, 3), signs(1, 5, 4, 1, seed=2)),
    (signs(*VECTOR), real(*VECTOR)),
    (real(*VECTOR), real(2, 1)),
]
#: Functions that return an operation, its inputs and the result by torch.
CASES = [
    *(partial(conv2d, window, make) for window in WINDOWS
      for make in (real, signs)),
    *(partial(binary_conv2d, window, make) for window in WINDOWS
      for make in (real, signs)),
    *(partial(binary_conv2d, window, signs, exact=True) for window in WINDOWS),
    *(partial(conv_transpose2d, window, make) for window in TRANSPOSED
      for make in (real, signs)),
    *(partial(f, cin, cout, make) for f in (linear, binary_linear)
      for cin, cout in [(1, 1), (63, 2), (64, 5), (65, 3), (130, 65)]
      for make in (real, signs)),
    *(partial(sign, shape) for shape in ((3, 5, 4, 3), (4, 6))),
    *(partial(affine, shape, make) for shape in (IMAGE, VECTOR)
      for make in (real, signs)),
    *(partial(rprelu, shape) for shape in (IMAGE, VECTOR)),
    *(partial(clamp, low, high) for low, high in [(0., FLOAT_MAX), (
        0., 6.), (-1., 1.), (0.1, 0.1), (-FLOAT_MAX, FLOAT_MAX)]),
    partial(elementwise, ops.Sigmoid, torch.sigmoid),
    partial(elementwise, ops.Tanh, torch.tanh),
    partial(elementwise, ops.Abs, torch.abs),
    partial(elementwise, ops.Hardsigmoid, F.hardsigmoid),
    partial(elementwise, ops.Hardswish, F.hardswish),
    partial(elementwise, ops.SiLU, F.silu),
    partial(elementwise, ops.GELU, F.gelu),
    partial(
        elementwise,
        ops.GELU,
        partial(F.gelu, approximate='tanh'),
        approximate=True),
    *(partial(elementwise, ops.ELU, partial(F.elu, alpha=a), alpha=a)
      for a in (1., 0.25, -2., 0.)),
    partial(elementwise, ops.Softplus, lambda x: F.softplus(x, 1, 100)),
    *(partial(two, ops.Add, torch.add, a, b) for a, b in BROADCASTS),
    *(partial(two, ops.Multiply, torch.mul, a, b) for a, b in BROADCASTS),
    *(partial(scale, IMAGE, factor, make)
      for factor in [(1, 1, 1), (5, 1, 1), (1, 4, 1), (1, 1, 3), (5, 4, 3)]
      for make in (real, signs)),
    *(partial(concat, make, *channels) for make in (real, signs)
      for channels in [(1, ), (1, 63), (2, 64, 3)]),
    *(partial(slice_, make, start, stop) for make in (real, signs)
      for start, stop in [(0, 7), (0, 1), (3, 5), (6, 7)]),
    *(partial(avg_pool2d, pool, ceil_mode, include, make)
      for pool in POOLS[:-1] for ceil_mode in (False, True)
      for include in (False, True) for make in (real, signs)),
    *(partial(max_pool2d, pool, ceil_mode) for pool in POOLS
      for ceil_mode in (False, True)),
    *(partial(adaptive_avg_pool2d, size, output, make)
      for size, output in [((1, 1), (1, 1)), ((7, 5), (1, 1)), (
          (7, 5), (3, 2)), ((2, 3), (4, 5)), ((6, 4), (3, 2))]
      for make in (real, signs)),
    *(partial(adaptive_max_pool2d, size, output)
      for size, output in [((1, 1), (1, 1)), ((7, 5), (1, 1)), (
          (7, 5), (3, 2)), ((2, 3), (4, 5)), ((6, 4), (3, 2))]),
    *(partial(pad, (2, 3, 4, 5), *sides, value, make)
      for sides in [((0, 0), (1, 1), (1, 1)), (
          (0, 0), (0, 1), (0, 1)), ((2, 1), (0, 0),
                                    (0, 0)), ((33, 0), (0, 3),
                                              (2, 0)), ((0, 0), (0, 0),
                                                        (0, 0))]
      for value in (0., 1., -1., 2.5) for make in (real, signs)),
    *(partial(pad, VECTOR, (1, 32), (0, 0), (0, 0), 1., make)
      for make in (real, signs)),
    *(partial(crop, rows, columns, stride, make)
      for rows, columns, stride in [(
          (0, 0), (0, 0),
          (2, 2)), ((0, 0), (0, 0),
                    (1, 1)), ((1, 0), (0, 1),
                              (2, 3)), ((3, 3), (0, 7),
                                        (1, 1)), ((2, 1), (1, 2), (9, 1))]
      for make in (real, signs)),
    *(partial(channel_shuffle, shape, groups, make)
      for shape, groups in [(IMAGE, 1), (IMAGE, 5), (
          (2, 12, 3, 2), 3), ((2, 70, 2, 2), 2), ((3, 66), 6)]
      for make in (real, signs)),
    *(partial(norm, shape, groups, eps, make)
      for shape, groups in [(IMAGE, 1), (IMAGE, 5), (
          IMAGE, None), ((2, 66, 3, 2), 6), (
              (2, 66, 3, 2), None), ((2, 40, 1, 1), 4), (
                  (3, 66), 2), ((3, 66), 1), ((3, 66),
                                              None), ((2, 1, 3, 3), None)]
      for eps in (1e-5, 0.1) for make in (real, signs)),
    *(partial(over_channels, cls, function, shape)
      for cls, function in [(ops.Softmax,
                             F.softmax), (ops.LogSoftmax, F.log_softmax)]
      for shape in (IMAGE, VECTOR, (2, 1, 3, 2), (3, 129))),
    *(partial(resize, size, output, *kind, make)
      for size, output in [((3, 4), (2., 2.)), (
          (3, 4), (6, 8)), ((3, 4), (1.5, 0.5)), (
              (7, 5), (3, 11)), ((7, 5), (0.3, 2.7)), (
                  (4, 4), (1.2, 1.)), ((1, 1), (5, 1)), (
                      (5, 1),
                      (1, 1)), ((6, 4),
                                (3., 4.)), ((45, 2),
                                            (129, 82)), ((8, 8), (0.5, 0.25))]
      for kind in [(False, False), (True, False), (True, True)]
      for make in (real, signs)),
    *(partial(channel_mean, (2, c, 3, 2), make) for c in (1, 65)
      for make in (real, signs)),
    *(partial(flatten, shape, make) for shape in (IMAGE, VECTOR)
      for make in (real, signs)),
]


def value_of(array):
    return Value('sign' if array.dtype == np.int8 else 'real', array.shape)


@pytest.mark.parametrize(
    'case', CASES, ids=[f'{i}-{c.func.__name__}' for i, c in enumerate(CASES)])
def test_against_torch(case):
    """Signs exactly, real numbers to a rounding of float32."""
    op, inputs, expected = case()
    op.check()
    before = [x.copy() for x in inputs]
    y = run_operation(op, *inputs)
    assert y.dtype in (np.int8, np.float32)
    assert op.infer(*map(value_of, inputs)) == value_of(y)
    assert y.shape == tuple(expected.shape)
    expected = expected.double().numpy()
    if y.dtype == np.int8 or case.keywords.get('exact'):
        assert np.array_equal(y, expected)
    else:
        # Half a unit in the last place, and that of sums that cancel.
        np.testing.assert_allclose(y, expected, rtol=6.1e-8, atol=1e-14)
    assert all(map(np.array_equal, inputs, before))


def test_every_operation_is_tested():
    tested = {kind_of(type(case()[0])) for case in CASES}
    assert tested == set(OPERATIONS)
    assert set(FUNCTIONS) == set(OPERATIONS.values())


def test_names_in_the_file():
    """They are part of the format and cannot change."""
    assert set(OPERATIONS) == {
        'conv2d', 'linear', 'binary_conv2d', 'binary_linear', 'sign', 'affine',
        'rprelu', 'clamp', 'sigmoid', 'tanh', 'abs', 'add', 'multiply',
        'scale', 'concat', 'slice', 'flatten', 'avg_pool2d', 'max_pool2d',
        'adaptive_avg_pool2d', 'channel_mean', 'hardsigmoid', 'hardswish',
        'silu', 'gelu', 'elu', 'softplus', 'conv_transpose2d', 'pad', 'crop',
        'channel_shuffle', 'group_norm', 'layer_norm', 'softmax',
        'log_softmax', 'adaptive_max_pool2d', 'resize'
    }


def f32(*shape, fill=1.):
    return np.full(shape, fill, np.float32)


def u64(*shape, fill=0):
    return np.full(shape, fill, np.uint64)


def op_with(cls, **changes):
    """A good operation, changed."""
    good = dict(
        Conv2d=dict(weight=f32(4, 2, 3, 3), bias=f32(4)),
        ConvTranspose2d=dict(weight=f32(4, 2, 3, 3), bias=f32(2)),
        GroupNorm=dict(weight=f32(4), bias=f32(4), groups=2),
        LayerNorm=dict(weight=f32(4), bias=f32(4)),
        Resize=dict(size=(2, 3)),
        Linear=dict(weight=f32(4, 2), bias=f32(4)),
        BinaryConv2d=dict(
            weight=u64(4, 3, 3, 2), scale=f32(4), shift=f32(4),
            in_channels=70),
        BinaryLinear=dict(
            weight=u64(4, 2), scale=f32(4), shift=f32(4), in_channels=70),
        Sign=dict(threshold=f32(4), flip=np.zeros(4, np.uint8)),
        Affine=dict(scale=f32(4), shift=f32(4)),
        RPReLU=dict(gamma=f32(4), beta=f32(4), zeta=f32(4)),
        Scale=dict(factor=f32(4, 1, 1)),
        Slice=dict(start=0, stop=1)).get(cls.__name__, {})
    names = dict(name='one op', inputs=('a', 'b')[:cls.arity or 1])
    return cls(**{**names, **good, **changes})


BAD_FIELDS = [
    # What all operations have
    (ops.Abs, dict(name=''), 'printable'),
    (ops.Abs, dict(name='a\nb'), 'printable'),
    (ops.Abs, dict(name='\ud800'), 'printable'),
    (ops.Abs, dict(name=3), 'printable'),
    (ops.Abs, dict(inputs=([], )), 'printable'),
    (ops.Abs, dict(inputs=()), 'takes 1 inputs, got 0'),
    (ops.Abs, dict(inputs=('a', 'b')), 'takes 1 inputs, got 2'),
    (ops.Add, dict(inputs=('a', )), 'takes 2 inputs, got 1'),
    (ops.Concat, dict(inputs=()), 'has no input'),
    # Attributes
    *((ops.Conv2d, {
        name: value
    }, name) for name in ('stride', 'padding', 'dilation')
      for value in (1, (1, ), (1, 1, 1), (1, -1), (1, 1 << 25), (1, 1.), None,
                    ('1', '1'), (True, True))),
    *((ops.Conv2d, {
        name: (0, 1)
    }, name) for name in ('stride', 'dilation')),
    (ops.Conv2d, dict(padding=(0, 5000)), 'padding'),
    *((ops.Conv2d, dict(groups=value), 'groups')
      for value in (0, -1, 1., True, None, 1 << 25, (1, 1))),
    (ops.AvgPool2d, dict(kernel=(0, 1)), 'kernel'),
    (ops.AvgPool2d, dict(ceil_mode=1), 'ceil_mode'),
    (ops.MaxPool2d, dict(ceil_mode='no'), 'ceil_mode'),
    *((ops.Clamp, dict(low=value), 'low')
      for value in (math.nan, -math.inf, '0', None, -10**400, 1e39, False)),
    (ops.Clamp, dict(high=-1.), 'low > high'),
    # Tensors
    (ops.Conv2d, dict(weight=None), 'weight must be float32 with 4'),
    (ops.Conv2d, dict(weight=f32(4, 2)), 'weight must be float32 with 4'),
    (ops.Conv2d, dict(weight=np.zeros((4, 2, 3, 3))), 'float32'),
    (ops.Conv2d, dict(weight=f32(4, 2, 3, 3).astype('>f4')), 'float32'),
    (ops.Conv2d, dict(weight=f32(4, 2, 3, 3, fill=np.nan)), 'NaN'),
    (ops.Conv2d, dict(bias=f32(4, fill=np.inf)), 'bias holds NaN or infinity'),
    (ops.BinaryConv2d, dict(scale=f32(4, fill=np.nan)), 'scale holds NaN'),
    (ops.BinaryConv2d, dict(weight=u64(4, 3, 3, 2).astype(np.int64)),
     'uint64'),
    (ops.Conv2d, dict(weight=f32(4, 2, 0, 3)), 'empty'),
    (ops.Conv2d, dict(bias=f32(3)), '4 biases'),
    (ops.Conv2d, dict(groups=3), '4 outputs in 3 groups'),
    (ops.ConvTranspose2d, dict(weight=f32(4, 0, 3, 3)), 'empty'),
    (ops.ConvTranspose2d, dict(groups=2), '4 biases'),
    (ops.ConvTranspose2d, dict(groups=3, bias=f32(6)), '4 inputs in 3'),
    (ops.ConvTranspose2d, dict(output_padding=(1, 0)), 'output_padding (1, 0'),
    (ops.ConvTranspose2d, dict(output_padding=(4097, 0), stride=(5000, 1)),
     'output_padding is (4097, 0)'),
    *((ops.Pad, {
        name: (4097, 0)
    }, f'{name} is (4097, 0)') for name in ('channels', 'rows', 'columns')),
    (ops.Pad, dict(rows=(-1, 0)), 'rows is (-1, 0)'),
    (ops.Pad, dict(value=float('inf')), 'value is inf'),
    (ops.Crop, dict(stride=(0, 1)), 'stride is (0, 1)'),
    (ops.ChannelShuffle, dict(groups=0), 'groups is 0'),
    *((cls, dict(eps=eps), f'eps is {eps}')
      for cls in (ops.GroupNorm, ops.LayerNorm) for eps in (0., -1e-5)),
    (ops.GroupNorm, dict(groups=3), '4 channels in 3 groups'),
    (ops.GroupNorm, dict(bias=f32(3)), 'as many weights as biases'),
    (ops.LayerNorm, dict(bias=f32(3)), 'as many weights as biases'),
    (ops.Resize, dict(size=(0, 1)), 'size (0, 1) and factors'),
    (ops.Resize, dict(vertical=2.), 'and factors (2.0, 0.0)'),
    (ops.Resize, dict(size=(0, 0)), 'has factors (0.0, 0.0)'),
    (ops.Resize, dict(size=(0, 0), vertical=2., horizontal=-2.), '-2.0'),
    (ops.Resize, dict(size=(0, 0), vertical=2.,
                      horizontal=2.**24), '16777216.0'),
    (ops.Resize, dict(align_corners=True), 'align_corners without'),
    (ops.Linear, dict(weight=f32(0, 2), bias=f32(0)), 'empty'),
    (ops.Linear, dict(bias=f32(2)), '4 biases'),
    (ops.BinaryConv2d, dict(in_channels=0), '0 inputs'),
    (ops.BinaryConv2d, dict(groups=4), '70 inputs and 4 outputs in 4'),
    (ops.BinaryConv2d, dict(groups=5), '4 outputs in 5'),
    (ops.BinaryConv2d, dict(weight=u64(4, 3, 0, 2)), '4 outputs'),
    (ops.BinaryConv2d, dict(in_channels=64), 'needs 1 words for 64'),
    (ops.BinaryConv2d, dict(in_channels=129), 'needs 3 words for 129'),
    (ops.BinaryConv2d, dict(weight=u64(4, 3, 3, 2, fill=64)), 'bits behind'),
    (ops.BinaryConv2d, dict(scale=f32(3)), '4 scales and shifts'),
    (ops.BinaryConv2d, dict(shift=f32(5)), '4 scales and shifts'),
    (ops.BinaryLinear, dict(in_channels=0), 'empty'),
    (ops.BinaryLinear, dict(weight=u64(0, 2)), 'empty'),
    (ops.BinaryLinear, dict(in_channels=200), 'needs 4 words'),
    (ops.BinaryLinear, dict(weight=u64(4, 2, fill=1 << 63)), 'bits behind'),
    (ops.BinaryLinear, dict(scale=f32(3)), '4 scales'),
    (ops.Sign, dict(threshold=f32(4, fill=np.nan)), 'threshold is NaN'),
    (ops.Sign, dict(flip=np.full(4, 2, np.uint8)), 'flip must be'),
    (ops.Sign, dict(flip=np.zeros(3, np.uint8)), 'flip must be'),
    (ops.Sign, dict(flip=np.zeros(4, bool)), 'flip must be uint8'),
    (ops.Affine, dict(shift=f32(3)), 'as many'),
    (ops.RPReLU, dict(zeta=f32(3)), 'as many'),
    (ops.GELU, dict(approximate='tanh'), "approximate is 'tanh'"),
    (ops.ELU, dict(alpha=float('nan')), 'alpha is nan'),
    (ops.ELU, dict(alpha=1e39), 'alpha is 1e+39'),
    (ops.Scale, dict(factor=f32(4)), 'factor must be float32 with 3'),
]


@pytest.mark.parametrize('cls,changes,message', BAD_FIELDS)
def test_check(cls, changes, message):
    op_with(cls).check()
    with pytest.raises(ProgramError, match=re.escape(message)) as error:
        op_with(cls, **changes).check()
    name = changes.get('name', 'one op')
    assert str(error.value).startswith(f'{kind_of(cls)} {name!r} ')


def V(*shape, kind='real'):
    return Value(kind, shape)


BAD_INPUTS = [
    (ops.Sign, {}, [V(1, 4, kind='sign')], 'takes real, got sign 1x4'),
    (ops.MaxPool2d, {}, [V(1, 4, 2, 2, kind='sign')], 'takes real'),
    (ops.Clamp, {}, [V(1, 4, kind='sign')], 'takes real'),
    *((cls, {}, [V(1, 2)], '(N, C, H, W)')
      for cls in (ops.Conv2d, ops.BinaryConv2d, ops.Scale, ops.AvgPool2d,
                  ops.MaxPool2d, ops.AdaptiveAvgPool2d, ops.ChannelMean,
                  ops.AdaptiveMaxPool2d, ops.ConvTranspose2d, ops.Crop,
                  ops.Resize)),
    (ops.Pad, dict(rows=(0, 1)), [V(1, 2)], '(N, C, H, W)'),
    (ops.Crop, dict(rows=(3, 2)), [V(1, 2, 5, 5)], 'cuts off all'),
    (ops.ChannelShuffle, dict(groups=3), [V(1, 4)], '3 groups for real 1x4'),
    (ops.ConvTranspose2d, {}, [V(1, 3, 9, 9)], 'is for 4 channels'),
    (ops.ConvTranspose2d, dict(padding=(1, 2)), [V(1, 4, 1, 1)], 'gives'),
    (ops.ConvTranspose2d, dict(stride=(1 << 24, 1 << 24)), [V(1, 4, 9,
                                                              9)], 'gives'),
    *((cls, {}, [V(1, 3, 2, 2)], 'is for 4 channels')
      for cls in (ops.GroupNorm, ops.LayerNorm)),
    *((cls, {}, [V(1, 4, kind='sign')], 'takes real')
      for cls in (ops.Softmax, ops.LogSoftmax, ops.AdaptiveMaxPool2d)),
    (ops.Resize, dict(size=(0, 0), vertical=0.5,
                      horizontal=2.), [V(1, 3, 1, 5)], 'gives real 1x3x0x10'),
    (ops.Resize, dict(size=(1 << 17, 1 << 17)), [V(1, 3, 5, 5)], 'gives'),
    (ops.Conv2d, {}, [V(1, 3, 9, 9)], 'is for 2 channels'),
    (ops.Conv2d, dict(groups=2), [V(1, 2, 9, 9)], 'is for 4 channels'),
    (ops.BinaryConv2d, {}, [V(1, 2, 9, 9)], 'is for 70 channels'),
    (ops.Conv2d, {}, [V(1, 2, 2, 9)], 'window larger than real 1x2x2x9'),
    (ops.Conv2d, dict(dilation=(1, 5)), [V(1, 2, 9, 9)], 'window larger'),
    (ops.Conv2d, dict(dilation=(1 << 24, 1)), [V(1, 2, 9, 9)], 'larger'),
    (ops.Linear, {}, [V(1, 3)], 'is for 2 inputs'),
    (ops.Linear, {}, [V(1, 2, 1, 1)], 'is for 2 inputs'),
    (ops.BinaryLinear, {}, [V(1, 3)], 'is for 70 inputs'),
    (ops.BinaryLinear, {}, [V(1, 70, 1, 1)], 'is for 70 inputs'),
    *((cls, {}, [V(1, 3, 2, 2)], 'is for 4 channels')
      for cls in (ops.Sign, ops.Affine, ops.RPReLU)),
    (ops.Affine, {}, [V(1, 4, 2)], 'is for 4 channels'),
    (ops.Add, {}, [V(1, 2), V(1, 2, 1, 1)], 'cannot combine'),
    (ops.Add, {}, [V(1, 2), V(1, 3)], 'cannot combine'),
    (ops.Multiply, {}, [V(1, 2), V(1, 3)], 'cannot combine'),
    (ops.Scale, {}, [V(1, 3, 2, 2)], 'is for 4x1x1, got real 1x3x2x2'),
    (ops.Concat, dict(inputs=('a', 'b')), [V(1, 2), V(2, 2)], 'cannot join'),
    (ops.Concat, dict(inputs=('a', 'b')), [V(1, 2),
                                           V(1, 2,
                                             kind='sign')], 'cannot join'),
    (ops.Concat, dict(inputs=('a', 'b')), [V(1, 2), V(1, 2,
                                                      1)], 'cannot join'),
    (ops.Slice, dict(start=1, stop=1), [V(1, 3)], 'channels 1 to 1'),
    (ops.Slice, dict(start=1, stop=4), [V(1, 3)], 'channels 1 to 4'),
    (ops.AvgPool2d, dict(kernel=(3, 3)), [V(1, 3, 2, 3)], 'window larger'),
    (ops.AvgPool2d, dict(kernel=(2, 2), padding=(1, 2)), [V(1, 3, 5, 5)],
     'has padding (1, 2) for windows (2, 2)'),
    (ops.MaxPool2d, dict(padding=(1, 0)), [V(1, 3, 5, 5)], 'has padding'),
    (ops.AdaptiveAvgPool2d, dict(size=(0, 1)), [V(1, 3, 5, 5)], 'gives'),
    (ops.AdaptiveAvgPool2d, dict(size=(1 << 17, 1 << 17)), [V(1, 3, 5, 5)],
     'gives real 1x3x131072x131072'),
    (ops.Add, {}, [V(1 << 24, 1, 1, 1 << 10),
                   V(1, 1, 1 << 24, 1)], 'gives'),
]


@pytest.mark.parametrize('cls,changes,values,message', BAD_INPUTS)
def test_infer_refuses(cls, changes, values, message):
    op = op_with(cls, **changes)
    op.check()
    with pytest.raises(ProgramError, match=re.escape(message)) as error:
        op.infer(*values)
    assert str(error.value).startswith(f"{kind_of(cls)} 'one op' ")


def test_every_operation_is_refused_once():
    """Guards the tables above, but for what takes every real input."""
    seen = {cls for cls, *_ in BAD_FIELDS + BAD_INPUTS}
    assert set(OPERATIONS.values()) - seen == {
        ops.Sigmoid, ops.Tanh, ops.Hardsigmoid, ops.Hardswish, ops.SiLU,
        ops.Softplus, ops.Flatten
    }


@pytest.mark.parametrize('groups', [1, 2])
def test_padding_of_a_binary_convolution_is_zero(groups):
    """With signs and weights +1, sums are numbers of taps in the image."""
    weight = pack(np.ones((2, 3, 3, 4 // groups)))
    op = op_with(
        ops.BinaryConv2d,
        weight=weight,
        scale=f32(2),
        shift=f32(2, fill=0),
        in_channels=4,
        padding=(1, 1),
        groups=groups)
    y = run_operation(op, np.ones((1, 4, 2, 3), np.int8))
    taps = np.array([[4, 6, 4], [4, 6, 4]]) * 4 // groups
    assert np.array_equal(y[0], [taps, taps])
