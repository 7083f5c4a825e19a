"""Sizes, views and functions as public networks write them."""
import math
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmreact.export import LoweringError, lower, verify
from mmreact.layers import BinaryConv2d, BinaryLinear, RSign
from mmreact.packed import ops
from mmreact.packed.ops import ProgramError
from mmreact.packed.reference import ReferenceBackend


class Function(nn.Module):
    """A function, and layers that it gets as further arguments."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


def squeeze_excite(x, first, second):
    """With linear layers, as in the first SENets for PyTorch."""
    b, c, _, _ = x.size()
    y = F.adaptive_avg_pool2d(x, 1).view(b, c)
    y = torch.sigmoid(second(F.relu(first(y)))).view(b, c, 1, 1)
    return x * y.expand_as(x)


def shuffle(x, groups=2):
    """ShuffleNet's."""
    b, c, h, w = x.shape
    x = x.view(b, groups, c // groups, h, w)
    return torch.transpose(x, 1, 2).contiguous().view(b, -1, h, w)


def normalised(x):
    """As GoogLeNet's transform_input."""
    first = torch.unsqueeze(x[:, 0], 1) * 0.5 + 0.1
    return torch.cat((first, x[:, 1].unsqueeze(1) - 1, x[:, 2:]), 1)


def same_padding(x, conv):
    """Branches on sizes, as TensorFlow's padding does."""
    h, w = x.size()[-2:]
    if max((math.ceil(h / 2) - 1) * 2 + 3 - h, 0) % 2:
        x = x[:, :, :, :]
    return conv(x) * (1 / math.sqrt(w))


def gem(x):
    """A mean by sum and number of pixels."""
    h, w = x.shape[2], x.shape[3]
    return F.avg_pool2d(x, (h, w)) / (h * w)


def channels_last(x, linear):
    return linear(x.permute(0, 2, 3, 1)).relu().permute(0, 3, 1, 2)


def loop(x, *convs):
    for i in range(x.shape[1] // 2):
        x = convs[i](x)
    assert x.dim() == 4 and x.ndim == len(x.shape)
    return x


LINEAR = nn.Linear(6, 3)
# name -> (network, number of channels)
IDIOMS = dict(
    avg_pool_size=(
        lambda x, fc: fc(F.avg_pool2d(x, x.size(3)).view(x.size(0), -1)),
        LINEAR),
    avg_pool_sizes=(lambda x, fc: fc(F.avg_pool2d(x,
                                                  x.size()[2:]).flatten(1)),
                    LINEAR),
    avg_pool_shape=(lambda x, fc: fc(
        torch.flatten(F.avg_pool2d(x, x.shape[-2:]), start_dim=-3)), LINEAR),
    avg_pool_ints=(lambda x, fc: fc(
        F.avg_pool2d(x, kernel_size=int(x.size(2))).squeeze()), LINEAR),
    avg_pool_half=(lambda x: F.avg_pool2d(x,
                                          x.size(2) // 2), ),
    mean_mean=(lambda x, fc: fc(x.mean(3).mean(2)), LINEAR),
    mean_mean_first=(lambda x, fc: fc(x.mean(2).mean(-1)), LINEAR),
    mean_keep=(lambda x, fc: fc(
        x.mean(-1, keepdim=True).mean(-2, keepdim=True)[:, :, 0, 0]), LINEAR),
    mean_of_view=(lambda x, fc: fc(x.view(x.size(0), x.size(1), -1).mean(-1)),
                  LINEAR),
    mean_of_flat=(lambda x, fc: fc(x.flatten(2).mean(2)), LINEAR),
    mean_channels=(lambda x: x.mean(1).unsqueeze(1) * x, ),
    mean_width=(lambda x: x - x.mean(3, keepdim=True), ),
    pixel=(lambda x, fc: fc(F.adaptive_avg_pool2d(x, (1, 1))[:, :, 0, 0]),
           LINEAR),
    pixel_ellipsis=(lambda x, fc: fc(x.mean((2, 3), True)[..., 0, 0]), LINEAR),
    corner=(lambda x, fc: fc(x[:, :, 0, 0]), LINEAR),
    last_pixel=(lambda x, fc: fc(x[:, :, -1, -1]), LINEAR),
    squeezes=(
        lambda x, fc: fc(F.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2)),
        LINEAR),
    squeeze_negative=(lambda x, fc: fc(
        torch.squeeze(torch.squeeze(F.adaptive_avg_pool2d(x, 1), -1), -1)),
                      LINEAR),
    length=(lambda x, fc: fc(F.adaptive_avg_pool2d(x, 1).view(len(x), 6)),
            LINEAR),
    unflatten=(lambda x, fc: fc(F.adaptive_avg_pool2d(x, 1).flatten(1)).
               unflatten(1, (3, 1, 1)), LINEAR),
    negative_view=(
        lambda x, fc: fc(F.adaptive_avg_pool2d(x, 1).reshape(-1, x.shape[1])),
        LINEAR),
    numel=(lambda x, fc: fc(
        F.adaptive_avg_pool2d(x, 1).reshape(x.numel() // x[0].numel(), -1)),
           LINEAR),
    max_pool=(lambda x, fc: fc(F.adaptive_max_pool2d(x, 1).flatten(1)),
              LINEAR),
    amax=(lambda x, fc: fc(torch.amax(x, (2, 3))), LINEAR),
    squeeze_excite=(squeeze_excite, nn.Linear(6, 4), nn.Linear(4, 6)),
    binary_squeeze_excite=(squeeze_excite,
                           nn.Sequential(
                               RSign(6, channel_dim=-1),
                               BinaryLinear(6, 4)), nn.Linear(4, 6)),
    expanded=(lambda x: x * x.mean(
        (2, 3), True).expand(-1, -1, x.size(2), x.size(3)), ),
    rows_only=(nn.AdaptiveAvgPool2d((None, 1)), ),
    unsqueezed=(lambda x, fc: x[:, :3] + fc(x.mean(
        (2, 3)))[:, :, None, None], LINEAR),
    unsqueezed_twice=(lambda x, fc: x[:, :3] * fc(x.mean(
        (2, 3))).unsqueeze(2).unsqueeze(-1), LINEAR),
    shuffle=(shuffle, ),
    shuffle_three=(lambda x: shuffle(x, 3), ),
    shuffle_many=(lambda x, conv: shuffle(conv(x), 4), nn.Conv2d(6, 32, 1)),
    shuffle_layer=(lambda x, layer: layer(x), nn.ChannelShuffle(3)),
    shuffle_signs=(lambda x, sign, conv: conv(shuffle(sign(x))), RSign(6),
                   BinaryConv2d(6, 4, 3)),
    shuffle_reshape=(lambda x: x.reshape(x.shape[0], 3, 2, *x.shape[2:]).
                     permute(0, 2, 1, 3, 4).reshape(x.shape), ),
    normalised=(normalised, ),
    stride_slice=(lambda x: x[:, :, ::2, ::2], ),
    stride_slice_odd=(lambda x: x[:, :, 1::2, ::3] + x[..., 0:-1:2, ::3], ),
    crop=(lambda x: x[:, :, 1:-1, 2:], ),
    crop_to=(lambda x: x[:, :, :4, 1:5], ),
    crop_channels=(lambda x: x[:, 2:4, 1:, :-1], ),
    narrow=(lambda x: x.narrow(1, 1, 3), ),
    same_padding=(same_padding, nn.Conv2d(6, 3, 3, 2, 1)),
    pixels=(gem, ),
    channels_last=(channels_last, nn.Linear(6, 4)),
    channels_last_scale=(
        lambda x: (x.permute(0, 2, 3, 1) * 0.5 + 1).permute(0, 3, 1, 2), ),
    loop=(loop, nn.Conv2d(6, 6, 1), nn.Conv2d(6, 4, 3), nn.Conv2d(4, 2, 1)),
    split_size=(
        lambda x: torch.cat(torch.split(x, x.size(1) // 2, dim=1)[::-1], 1), ),
    chunked=(lambda x: torch.cat(torch.chunk(x, 4, dim=-3)[1:], 1), ),
    view_as=(lambda x: x.view(x.size(0), 3, 2, -1).view_as(x) + 1, ),
    devices=(lambda x: (x.to('cpu').cpu().to(x.device).to(x.dtype).float(
    ).type_as(x)).contiguous(memory_format=torch.channels_last) * 2, ),
    data=(lambda x: x.data.detach().clone() - x, ),
    no_sizes=(lambda x: x *
              (1
               if x.shape[1] == 6 and not torch.jit.is_scripting() else 2), ),
)


def pick(value):
    return value if isinstance(value, torch.Tensor) else value[-1]


@pytest.mark.parametrize('name', IDIOMS)
def test_idioms(name, randomize, images):
    """The same as torch, for any number of images; other sizes of images are
    the same or refused, never something else."""
    network = randomize(deepcopy(Function(*IDIOMS[name])))
    program = lower(network, (6, 8, 8))
    x = images(3, 6, 8, 8)
    report = verify(network, program, x)
    assert report.ok, report.table()
    run = ReferenceBackend(program).run
    for shape in ((1, 6, 8, 8), (5, 6, 8, 8), (2, 6, 9, 12), (2, 6, 16, 16)):
        x = images(*shape)
        try:
            with torch.no_grad():
                truth = network(x).numpy()
        except RuntimeError:
            continue  # torch refuses this size, or squeezes the only image
        try:
            result = run(x.numpy(), [program.output])[program.output]
        except ProgramError as error:
            assert shape[2:] != (8, 8), error
            continue
        assert result.size == truth.size
        np.testing.assert_allclose(
            result.reshape(truth.shape), truth, rtol=1e-4, atol=1e-5)


FREE = [
    'avg_pool_size', 'avg_pool_sizes', 'avg_pool_shape', 'mean_mean',
    'mean_mean_first', 'mean_keep', 'mean_of_view', 'squeeze_excite',
    'shuffle', 'normalised', 'stride_slice', 'stride_slice_odd', 'crop',
    'channels_last', 'length'
]


@pytest.mark.parametrize('name', FREE)
def test_sides_stay_free(name):
    """Where the forward means any size, the program takes any."""
    program = lower(Function(*IDIOMS[name]), (6, 8, 8))
    assert 'size' not in [op.name for op in program.operations]
    program.infer((6, 12, 9))


@pytest.mark.parametrize('name', ['same_padding', 'crop_to', 'pixels'])
def test_what_depends_on_the_size_says_so(name):
    program = lower(Function(*IDIOMS[name]), (6, 8, 8))
    with pytest.raises(ProgramError, match="'size' is for 1x8x8, got real 1x"):
        program.infer((6, 16, 16))


def test_whole_map_is_one_adaptive_pooling():
    """No intermediate mean is left, and none of a fixed size."""
    for name in ('avg_pool_size', 'mean_mean', 'mean_of_view'):
        program = lower(Function(*IDIOMS[name]), (6, 8, 8))
        assert [type(op) for op in program.operations
                ] == [ops.AdaptiveAvgPool2d, ops.Flatten, ops.Linear]


# function, words of the error
REFUSED = [
    (lambda x: x.view(x.size(0) * 6, 1, 8, 8).mean(1), ['arranged as']),
    (lambda x: x * x.size(0), ['the number of images']),
    (lambda x: sum(x[i] for i in range(len(x))), ['operations']),
    (lambda x: torch.stack([y * 2 for y in x]), ['cannot be iterated']),
    (lambda x: torch.cat(x.split(1)), ['of the channels']),
    (lambda x: x.unbind()[0], ['unbind']),
    (lambda x: sum(x for _ in range(x.size(0))), ['the number of images']),
    (lambda x: x + torch.ones(1, 6, 8, 8).expand(x.size(0), -1, -1, -1),
     ['the number of images']),
    (lambda x: x + torch.zeros(x.shape), ['zeros']),
    (lambda x: x + torch.ones(x.size(0), 6, 1, 1, device=x.device), ['ones']),
    (lambda x: x + torch.rand(x.shape, device='cpu').to('cpu'), ['rand']),
    (lambda x: x + x.new_full(x.shape, 2).cpu(), ['new_full']),
    (lambda x: x if x.size(0) % 2 else x.sum(), ['cannot be traced']),
    (lambda x: x[0], ['some of the images']),
    (lambda x: x[:2], ['some of the images']),
    (lambda x: x.view(-1, 8), ['returns a value arranged']),
    (lambda x: x.permute(0, 2, 3, 1), ['arranged as (N, H, W, C)']),
    (lambda x: torch.relu(x.transpose(2, 3)), ['(N, C, W, H)']),
    (lambda x: F.max_pool2d(x.transpose(2, 3), 2), ['(N, C, W, H)']),
    (lambda x: x.permute(0, 2, 3, 1).flatten(1), ['(N, H W C)']),
    (lambda x: x.view(x.size(0), 7, -1), ["('N', 6, 8, 8)", 'sizes']),
    (lambda x: x[:, ::2], ['step 2']),
    (lambda x: x[:, [0, 2]], ['slices and integers']),
    (lambda x: x[x > 0], ['gt']),
    (lambda x: x.mean(), ['mean over images']),
    (lambda x: x.view(x.size(0), 2, 3, 8, 8).mean(2), ['known are means']),
    (lambda x: x.expand(x.size(0), 6, 8, 8).flatten(0, 1), ['together']),
    (lambda x: x.flatten(1)[:, :, None, None], ['viewed as one pixel']),
    (lambda x: x.to(torch.int8), ['int8']),
]


@pytest.mark.parametrize('function,words', REFUSED)
def test_refused_in_words(function, words):
    with pytest.raises(LoweringError) as error:
        lower(Function(function), (6, 8, 8))
    for word in words:
        assert word in str(error.value)


class Functional(nn.Module):
    """Calls functions with parameters and buffers of its own."""

    def __init__(self):
        super().__init__()
        for name, shape in dict(
                kernel=(8, 3, 3, 3),
                bias=(8, ),
                scale=(8, ),
                slope=(8, ),
                weight=(5, 8)).items():
            setattr(self, name, nn.Parameter(torch.randn(shape)))
        self.register_buffer('mean', torch.randn(8))
        self.register_buffer('variance', torch.rand(8) + 0.5)

    def forward(self, x):
        x = F.conv2d(x, self.kernel, self.bias, 2, padding=1, groups=2)
        x = F.batch_norm(x, self.mean, self.variance, self.scale, self.bias)
        x = F.prelu(x, self.slope) + F.leaky_relu(x, 0.3)
        x = F.relu6(F.max_pool2d(x, 2, 1)) + F.hardtanh(
            x[:, :, 1:, :-1]) + F.sigmoid(x[:, :, :-1, 1:]).clamp_min(0.6)
        x = F.dropout2d(torch.tanh(x), 0.5, self.training)
        x = F.adaptive_avg_pool2d(x.relu(), 1).flatten(1)
        return F.linear(x, F.normalize(self.weight), self.bias[:5])


def test_functions_with_parameters(images):
    """The row of a function serves its layer and its bare call."""
    torch.manual_seed(0)
    model, x = Functional().eval(), images(4, 6, 9, 9)
    program = lower(model, (6, 9, 9))
    report = verify(model, program, x)
    assert report.verdict == 'verified', report.table()
    with torch.no_grad():
        truth = model(x).numpy()
    result = ReferenceBackend(program).run(x.numpy(), [program.output])
    np.testing.assert_allclose(
        result[program.output], truth, rtol=1e-4, atol=1e-5)
    assert [type(op) for op in program.operations[:1]] == [ops.Conv2d]


def test_weights_that_depend_on_the_image_are_refused():
    """A dynamic filter: a weight that is a value of the network."""

    def dynamic(x, fc):
        return F.linear(x.mean((2, 3)), fc(x.mean((2, 3))))

    with pytest.raises(LoweringError, match='depends on the image'):
        lower(Function(dynamic, nn.Linear(6, 6)), (6, 8, 8))
