"""Values that torch holds as (N, H, W, C), (N, H W, C), ...: lowered,
verified, and mistakes among them are found."""
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mmreact.export import LoweringError, lower, verify
from mmreact.export.arrangement import (arrange, expand, from_base, is_whole,
                                        permute, regroup, to_base)
from mmreact.export.draft import Ref
from mmreact.export.sizes import IMAGES
from mmreact.layers import BinaryConv2d, BinaryLinear, RSign
from mmreact.packed import ops
from mmreact.packed.native import NativeBackend
from mmreact.packed.program import Program


class Function(nn.Module):
    """A forward in one line, with its layers."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def block(x, norm, sign, expand, sign2, reduce):
    y = reduce(sign2(nn.functional.gelu(expand(sign(norm(nhwc(x)))))))
    return x + nchw(y)


def branches(x, sign, fc):
    """One value that is used in both arrangements."""
    y = fc(sign(nhwc(x)))
    return nchw(y) + nchw(y.relu())


def tokens(x, sign, fc):
    y = fc(sign(x.flatten(2).transpose(1, 2)))
    return y.transpose(1, 2).unflatten(2, x.shape[2:])


LAST = RSign(6, channel_dim=-1)
NETWORKS = dict(
    last=(lambda x, sign, fc: nchw(fc(sign(nhwc(x)))), LAST,
          BinaryLinear(6, 4)),
    bias=(lambda x, sign, fc: nchw(fc(sign(nhwc(x)))), LAST,
          BinaryLinear(6, 4, bias=True)),
    swapped=(lambda x, sign, fc: fc(sign(x.permute(0, 3, 2, 1))).permute(
        0, 3, 2, 1), LAST, BinaryLinear(6, 4)),
    tokens=(tokens, LAST, BinaryLinear(6, 4)),
    mean=(lambda x, sign, fc: fc(sign(nhwc(x))).mean(
        (1, 2)), LAST, BinaryLinear(6, 4)),
    block=(block, nn.LayerNorm(6), LAST, BinaryLinear(6, 8),
           RSign(8, channel_dim=-1), BinaryLinear(8, 6)),
    branches=(branches, LAST, BinaryLinear(6, 4)),
    sign_only=(lambda x, sign, conv: conv(nchw(sign(nhwc(x)))), LAST,
               BinaryConv2d(6, 4, 3)),
    middle=(
        lambda x, sign, conv: conv(sign(x.transpose(2, 3)).transpose(2, 3)),
        RSign(6), BinaryConv2d(6, 4, 3)),
    groups=(
        lambda x, sign, conv: conv(sign(x.unflatten(1, (2, 3))).flatten(1, 2)),
        RSign(6, learnable=False), BinaryConv2d(6, 4, 3)),
    real_input=(lambda x, fc: nchw(fc(nhwc(x))), BinaryLinear(6, 4)),
)


def make(function, *layers):
    """With numbers of which no sum is on a threshold."""
    torch.manual_seed(0)
    network = Function(function, *deepcopy(layers)).eval()
    for p in network.parameters():
        nn.init.normal_(p)
    return network


@pytest.mark.parametrize('name', NETWORKS)
def test_verified(name, images):
    """As torch gives it; natively too, and for another size of image."""
    network, x = make(*NETWORKS[name]), images(3, 6, 7, 8)
    program = lower(network, (6, 7, 8))
    native = NativeBackend(program, 1)
    report = verify(network, program, x, native)
    assert report.verdict == 'verified', report.table()
    layers = [check for check in report.layers if 'binary' in check.kind]
    on_signs = name != 'real_input'
    assert layers and all(
        (c.accumulators == 0) == on_signs for c in layers), report.table()
    y = native.run(x.numpy(), [program.output])[program.output]
    with torch.no_grad():
        np.testing.assert_allclose(y, network(x).numpy(), 1e-4, 1e-4)
    if name != 'tokens':  # its forward names the sides
        assert verify(network, program, images(2, 6, 9, 5)).ok


def changed(program, kind, change):
    """The program with the first operation of a kind changed."""
    operations = list(program.operations)
    at = [type(op) for op in operations].index(kind)
    operations[at] = replace(operations[at], **change(operations[at]))
    return Program(program.input_shape, tuple(operations), program.output)


@pytest.mark.parametrize('kind,change', [
    (ops.Sign, lambda op: dict(flip=1 - op.flip)),
    (ops.Sign, lambda op: dict(threshold=np.roll(op.threshold, 1) + 0.1)),
    (ops.BinaryConv2d, lambda op: dict(weight=op.weight ^ np.uint64(1))),
    (ops.BinaryConv2d, lambda op: dict(scale=op.scale[::-1].copy())),
    (ops.BinaryConv2d, lambda op: dict(shift=op.shift + 0.01)),
])
@pytest.mark.parametrize('name', ['last', 'tokens', 'swapped', 'block'])
def test_mistakes_are_found(name, kind, change, images):
    network = make(*NETWORKS[name])
    program = changed(lower(network, (6, 7, 8)), kind, change)
    report = verify(network, program, images(2, 6, 7, 8))
    assert report.verdict == 'wrong', report.table()
    failed = [layer.name for layer in report.layers if not layer.ok]
    assert failed == [
        op.name for op in program.operations if type(op) is kind
    ][:1]


REFUSED = [
    (lambda x, sign, fc: fc(sign(x)), RSign(6), BinaryLinear(8, 4),
     r'last dimension of \(N, C, H, W\)'),
    (lambda x, sign, fc: fc(sign(x.transpose(1, 2))), RSign(6, channel_dim=2),
     BinaryLinear(8, 4), r'last dimension of \(N, H, C, W\)'),
    (lambda x, sign, fc: nchw(sign(nhwc(x))), RSign(7), BinaryLinear(6, 4),
     r'dimension 1 of \(N, H, W, C\)'),
    (lambda x, sign, fc: fc(x.permute(0, 1, 3, 2)), LAST, BinaryLinear(7, 4),
     r'last dimension of \(N, C, W, H\)'),
    (lambda x, sign, fc: fc(nhwc(x).flatten(0, 2)), LAST, BinaryLinear(6, 4),
     'it flattens images together'),
]


@pytest.mark.parametrize('function,sign,fc,words', REFUSED)
def test_refused(function, sign, fc, words):
    with pytest.raises(LoweringError, match=words):
        lower(Function(function, sign, fc), (6, 7, 8))


def test_a_side_of_one_pixel(images):
    """It is not known which side grows with the image."""
    network = make(lambda x, conv, sign, fc: nchw(fc(sign(nhwc(conv(x))))),
                   nn.Conv2d(6, 6, 8, 8), LAST, BinaryLinear(6, 4))
    program = lower(network, (6, 8, 8))
    assert verify(network, program, images(2, 6, 8, 8)).ok
    with pytest.raises(LoweringError, match='Verify with images of that size'):
        verify(network, program, images(2, 6, 16, 16))


# how a value (N, 6, 4, 5) is arranged, and the same in torch
ARRANGEMENTS = [
    (lambda v: permute(v, (0, 2, 3, 1)), nhwc),
    (lambda v: permute(v, (3, 1, 0, 2)), lambda x: x.permute(3, 1, 0, 2)),
    (lambda v: regroup(v,
                       (IMAGES, 2, 3, 20)), lambda x: x.reshape(-1, 2, 3, 20)),
    (lambda v: permute(regroup(v, (IMAGES, 2, 3, 20)), (2, 0, 3, 1)),
     lambda x: x.reshape(-1, 2, 3, 20).permute(2, 0, 3, 1)),
    (lambda v: regroup(permute(v, (0, 2, 3, 1)),
                       (IMAGES * 20, 6)), lambda x: nhwc(x).reshape(-1, 6)),
    (lambda v: permute(
        regroup(v, (IMAGES, 6, 2, 2, 1, 5)), (0, 2, 4, 3, 5, 1)),
     lambda x: x.reshape(-1, 6, 2, 2, 1, 5).permute(0, 2, 4, 3, 5, 1)),
]


@pytest.mark.parametrize('arranged,truth', ARRANGEMENTS)
def test_to_base_and_back(arranged, truth):
    value = arranged(arrange(Ref('x', 'real', (1, 6, 4, 5))))
    x = torch.arange(3 * 6 * 4 * 5).reshape(3, 6, 4, 5)
    assert is_whole(value)
    np.testing.assert_array_equal(from_base(value, x.numpy()), truth(x))
    np.testing.assert_array_equal(to_base(value, truth(x).numpy(), x.shape), x)


def test_repeated_values_are_not_whole():
    value = expand(arrange(Ref('x', 'real', (1, 6, 1, 5))), (-1, -1, 4, -1))
    assert not is_whole(value)
