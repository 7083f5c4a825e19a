"""Layers of public networks and dense-prediction heads; their functions."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import StochasticDepth

from mmreact.export import LoweringError, lower, verify
from mmreact.layers import BinaryConv2d, RSign
from mmreact.packed import ops
from mmreact.packed.native import NativeBackend
from mmreact.packed.reference import ReferenceBackend


class Function(nn.Module):

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class LayerNorm2d(nn.LayerNorm):
    """As torchvision's ConvNeXt has it."""

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias,
                         self.eps)
        return x.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Linear layers on (N, H, W, C), a scale per channel, a residual."""

    def __init__(self, channels):
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 4 * channels)
        self.reduce = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.rand(channels, 1, 1))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.reduce(F.gelu(self.expand(y)))
        return x + self.scale * y.permute(0, 3, 1, 2)


def randomized(layer):
    torch.manual_seed(0)
    for p in layer.parameters():
        nn.init.normal_(p)
    return layer.eval()


#: What is applied to an image of 6 channels -> kinds of the operations.
CASES = [
    (nn.Hardswish(), [ops.Hardswish]),
    (nn.Hardswish(inplace=True), [ops.Hardswish]),
    (Function(F.hardswish), [ops.Hardswish]),
    (nn.Hardsigmoid(), [ops.Hardsigmoid]),
    (nn.SiLU(), [ops.SiLU]),
    (Function(lambda x: F.silu(x, inplace=True)), [ops.SiLU]),
    (nn.GELU(), [ops.GELU]),
    (nn.GELU('tanh'), [ops.GELU]),
    (Function(lambda x: F.gelu(x, approximate='tanh')), [ops.GELU]),
    (nn.ELU(), [ops.ELU]),
    (nn.ELU(0.3), [ops.ELU]),
    (Function(lambda x: F.elu(x, -0.5)), [ops.ELU]),
    (nn.SELU(), [ops.ELU, ops.Affine]),
    (nn.CELU(0.5), [ops.Affine, ops.ELU, ops.Affine]),
    (nn.Softplus(), [ops.Softplus]),
    (nn.Softplus(2.), [ops.Affine, ops.Softplus, ops.Affine]),
    (nn.LogSigmoid(), [ops.Affine, ops.Softplus, ops.Affine]),
    (nn.Mish(), [ops.Softplus, ops.Tanh, ops.Multiply]),
    (nn.Softmax(1), [ops.Softmax]),
    (nn.Softmax2d(), [ops.Softmax]),
    (nn.LogSoftmax(-3), [ops.LogSoftmax]),
    (Function(lambda x: x.flatten(1).softmax(-1)), [ops.Flatten, ops.Softmax]),
    (Function(lambda x: x.permute(0, 2, 3, 1).softmax(-1).permute(0, 3, 1, 2)),
     [ops.Softmax]),
    (nn.GroupNorm(3, 6), [ops.GroupNorm]),
    (nn.GroupNorm(1, 6, eps=0.1, affine=False), [ops.GroupNorm]),
    (nn.InstanceNorm2d(6, affine=True), [ops.GroupNorm]),
    (nn.InstanceNorm2d(6, track_running_stats=True), [ops.Affine]),
    (nn.LayerNorm((6, 7, 8), elementwise_affine=False), [ops.GroupNorm]),
    (LayerNorm2d(6), [ops.LayerNorm]),
    (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(6)),
     [ops.AdaptiveAvgPool2d, ops.Flatten, ops.LayerNorm]),
    (ConvNeXtBlock(6),
     [ops.Conv2d, ops.LayerNorm, ops.Conv2d, ops.GELU, ops.Conv2d, ops.Add]),
    (nn.Upsample(scale_factor=2), [ops.Resize]),
    (nn.Upsample(scale_factor=(1.5, 3), mode='bilinear'), [ops.Resize]),
    (nn.Upsample((5, 9), mode='bilinear', align_corners=True), [ops.Resize]),
    (nn.UpsamplingBilinear2d(scale_factor=2), [ops.Resize]),
    (nn.UpsamplingNearest2d((3, 20)), [ops.Resize]),
    (Function(lambda x: F.interpolate(
        F.max_pool2d(x, 2), size=x.shape[2:], mode='bilinear') + x),
     [ops.MaxPool2d, ops.Resize, ops.Add]),
    (Function(lambda x: F.interpolate(
        x, scale_factor=1.3, recompute_scale_factor=True)), [ops.Resize]),
    (nn.ConvTranspose2d(6, 4, 4, 2, 1), [ops.ConvTranspose2d]),
    (nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1, groups=2,
                        bias=False), [ops.ConvTranspose2d]),
    (nn.ConvTranspose2d(6, 4, (2, 3), dilation=2,
                        padding=(1, 3)), [ops.ConvTranspose2d]),
    (nn.Sequential(
        nn.ConvTranspose2d(6, 4, 3, 2, groups=2), nn.BatchNorm2d(4),
        nn.ReLU()), [ops.ConvTranspose2d, ops.Clamp]),
    (nn.ZeroPad2d((0, 1, 2, 3)), [ops.Pad]),
    (nn.ConstantPad2d((1, 0, 0, 2), -0.5), [ops.Pad]),
    (nn.ZeroPad2d((-1, 1, 2, -3)), [ops.Crop, ops.Pad]),
    (Function(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 3, 4))),
     [ops.Crop, ops.Pad]),
    (nn.Conv2d(6, 4, (2, 4), padding='same',
               dilation=(3, 1)), [ops.Pad, ops.Conv2d]),
    (nn.AdaptiveMaxPool2d((3, 2)), [ops.AdaptiveMaxPool2d]),
    (nn.AdaptiveMaxPool2d((None, 2)), [ops.AdaptiveMaxPool2d]),
    (Function(lambda x: x.amax((2, 3))), [ops.AdaptiveMaxPool2d, ops.Flatten]),
    (nn.ChannelShuffle(2), [ops.ChannelShuffle]),
    (nn.Sequential(nn.ReLU(), StochasticDepth(0.5, 'row')), [ops.Clamp]),
    (nn.Sequential(nn.ReLU(), StochasticDepth(0.5, 'batch'),
                   nn.SiLU()), [ops.Clamp, ops.SiLU]),
]


@pytest.mark.parametrize(
    'layer,kinds',
    CASES,
    ids=[f'{i}-{type(c[0]).__name__}' for i, c in enumerate(CASES)])
def test_layer(layer, kinds, images):
    """As torch in float64, natively too; the operations are the expected."""
    layer, x = randomized(layer), images(3, 6, 7, 8)
    program = lower(layer, (6, 7, 8))
    found = [type(op) for op in program.operations]
    if found[0] is ops.Scale:  # for one size of image
        found = found[1:]
    assert found == kinds
    with torch.no_grad():
        expected = layer.double()(x.double()).numpy()
    for backend in (ReferenceBackend(program), NativeBackend(program, 1)):
        y = backend.run(x.numpy(), [program.output])[program.output]
        np.testing.assert_allclose(y, expected, 1e-5,
                                   2e-6 * np.abs(expected).max())
    report = verify(layer.float(), program, x, NativeBackend(program, 1))
    assert all(check.ok for check in report.layers), report


def padded_block(pad):
    return nn.Sequential(
        RSign(6), pad, BinaryConv2d(6, 8, 3, stride=2, padding=0), RSign(8),
        BinaryConv2d(8, 8, 2, padding='same'))


@pytest.mark.parametrize('pad', [
    nn.ZeroPad2d((0, 1, 0, 1)),
    nn.ZeroPad2d((2, 0, 1, 3)),
    nn.ConstantPad2d((0, 1, 0, 1), 1.),
    nn.ConstantPad2d((1, 2, 0, 1), -1.),
    nn.ConstantPad2d((1, 2, 0, 1), 0.5),
])
def test_padded_signs(pad, images):
    """Borders of 0, +1 and -1 around 1-bit maps are exact."""
    layer, x = randomized(padded_block(pad)), images(2, 6, 7, 8)
    program = lower(layer, (6, 7, 8))
    names = [op.name for op in program.operations]
    expected = ReferenceBackend(program).run(x.numpy(), names)
    results = NativeBackend(program, 1).run(x.numpy(), names)
    exact = pad.value != 0.5
    for name in names:
        assert expected[name].dtype == results[name].dtype
        if exact and expected[name].dtype == np.int8:
            assert np.array_equal(results[name], expected[name])
        np.testing.assert_allclose(results[name], expected[name], 1e-5, 1e-5)
    report = verify(layer, program, x)
    assert all(check.ok for check in report.layers), report


def test_a_border_is_as_the_padding_of_the_convolution(images):
    """Natively the same bits, with a border in front or without."""
    x, results = images(2, 6, 7, 8), []
    for pad, padding in [(nn.ZeroPad2d(2), 0), (nn.ZeroPad2d(1), 1),
                         (nn.Identity(), 2)]:
        layer = randomized(
            nn.Sequential(
                RSign(6), pad, BinaryConv2d(6, 40, 3, 2, padding=padding)))
        program = lower(layer, (6, 7, 8))
        results.append(
            NativeBackend(program, 1).run(x.numpy(),
                                          [program.output])[program.output])
    assert np.array_equal(results[0], results[2])
    assert np.array_equal(results[1], results[2])


@pytest.mark.parametrize('layer,message', [
    (nn.Softmax(2), 'runs along dimension 2 of .*known are the channels'),
    (nn.LayerNorm(8), 'known are the channels'),
    (nn.LayerNorm((6, 7, 8)), 'known is the normalization over the channels'),
    (nn.ReflectionPad2d(1), "pads by 'reflect'; known are constants"),
    (nn.Upsample(scale_factor=2, mode='bicubic'),
     "mode is 'bicubic'; known are nearest and bilinear"),
    (Function(lambda x: F.interpolate(
        x, scale_factor=0.5, mode='bilinear', antialias=True)),
     'with antialiasing'),
    (Function(lambda x: F.pad(x, (0, 0, 0, 0, 0, 0, 0, 1))), 'adds images'),
    (nn.Softplus(threshold=3), 'threshold is 3, below 15'),
    (nn.ZeroPad2d(5000), r'rows is \(5000, 5000\)'),
])
def test_what_is_not_known(layer, message):
    with pytest.raises(LoweringError, match=message):
        lower(layer, (6, 7, 8))
