"""Every layer, and every function, under all that traces and transforms."""
import copy
import io
import pickle

import onnxruntime
import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacrev, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

import mmreact.functional
import mmreact.layers
from mmreact.functional import (attention_transfer_loss, binary_conv2d,
                                binary_linear, distillation_loss,
                                distributional_loss, rprelu, rsign, sign)
from mmreact.layers import (ActivationScale, BinaryConv2d, BinaryLinear,
                            ChannelGate, ChannelMix, HalvingPool, LeakyClip,
                            LearnedScale, RPReLU, RSign, SignedLayer)

SHAPE = (2, 4, 5, 6)


class Function(nn.Module):
    """A function of a tensor and of parameters, as a module."""

    def __init__(self, function, **parameters):
        super().__init__()
        self.function = function
        for i, (name, shape) in enumerate(parameters.items()):
            values = torch.randn(
                shape, generator=torch.Generator().manual_seed(i + 1))
            setattr(self, name, nn.Parameter(values / 2))

    def forward(self, x):
        return self.function(x, *self._parameters.values())


class Mixed(nn.Module):
    """Two maps from one."""

    def __init__(self):
        super().__init__()
        self.mix = ChannelMix(4, 0.25)

    def forward(self, x):
        return self.mix(x, x.sin())


def chain():
    """What keeps nothing: an RPReLU, two RSigns, and convolutions."""
    return nn.Sequential(
        nn.Conv2d(4, 4, 1), RPReLU(4), RSign(4),
        BinaryConv2d(4, 4, 3, padding=1, bias=True), RPReLU(4), HalvingPool(),
        RSign(4, learnable=False),
        BinaryConv2d(4, 6, 1, weight_binarizer='xnor_sign'), RSign(6, 'tanh'),
        nn.Flatten(), BinaryLinear(54, 3, bias=True))


# What is public -> modules of a map of SHAPE.
SUBJECTS = {
    'ActivationScale':
    lambda: ActivationScale(3, 1, 1),
    'BinaryConv2d':
    lambda: BinaryConv2d(4, 2, 3, 2, 1, bias=True),
    'BinaryConv2d, same':
    lambda: BinaryConv2d(4, 2, 3, 1, 'same'),
    'BinaryLinear':
    lambda: BinaryLinear(6, 3, bias=True),
    'ChannelGate':
    lambda: ChannelGate(4, 2, 2, bias=True),
    'ChannelMix':
    Mixed,
    'HalvingPool':
    HalvingPool,
    'LeakyClip':
    LeakyClip,
    'LearnedScale':
    lambda: LearnedScale(4, (5, 6)),
    'RPReLU':
    lambda: RPReLU(4),
    'RSign':
    lambda: RSign(4),
    'RSign, clip':
    lambda: RSign(4, 'clip', learnable=False),
    'RSign, swish':
    lambda: RSign(6, 'swish', channel_dim=-1),
    'RSign, tanh':
    lambda: RSign(4, binarizer='tanh'),
    'RSign, real':
    lambda: RSign(4, binarizer='real'),
    'SignedLayer':
    lambda: SignedLayer(RSign(4), BinaryConv2d(4, 2, 1)),
    'attention_transfer_loss':
    lambda: Function(lambda x: attention_transfer_loss([x], [x.cos()])),
    'binary_conv2d':
    lambda: Function(binary_conv2d, weight=(2, 4, 3, 3), bias=(2, )),
    'binary_linear':
    lambda: Function(binary_linear, weight=(3, 6)),
    'distillation_loss':
    lambda: Function(lambda x: distillation_loss(
        x.flatten(1),
        x.flatten(1).cos(), 2.)),
    'distributional_loss':
    lambda: Function(lambda x: distributional_loss(
        x.flatten(1),
        x.flatten(1).cos())),
    'rprelu':
    lambda: Function(rprelu, gamma=(4, ), beta=(4, ), zeta=(4, )),
    'rsign':
    lambda: Function(rsign, alpha=(4, )),
    'sign':
    lambda: Function(sign),
    'chain':
    chain
}
#: Public, but no function of a map.
OTHERS = {
    'ATTENTION_NORMS', 'BinarizeReport', 'BinarizedLayer', 'ESTIMATORS',
    'WEIGHT_BINARIZERS', 'WeightBinarizer', 'at_progress', 'binarize',
    'check_attention_norm', 'get_estimator', 'get_weight_binarizer'
}


def test_everything_public_is_here():
    public = {*mmreact.layers.__all__, *mmreact.functional.__all__}
    assert public == {name.split(',')[0]
                      for name in SUBJECTS} - {'chain'} | OTHERS


def make(name):
    torch.manual_seed(0)
    module = SUBJECTS[name]().double()
    with torch.no_grad():  # parameters that start at 0 and 1 say little
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    return module, x


def expect(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def gradients(function, module, x):
    """Of the sum of squares, as plain execution has them."""
    inputs = [x, *module.parameters()]
    out = function(x)
    return out, torch.autograd.grad(
        out.square().sum(), inputs, allow_unused=True)


def same_training(function, module, x):
    """Values and gradients, in both modes."""
    for mode in (True, False):
        expected = gradients(module.train(mode), module, x)
        expect(gradients(function(module, x), module, x), expected)
        with torch.no_grad():
            expect(function(module, x)(x), module(x))


def by_torch_func(module, x):
    parameters = dict(module.named_parameters())

    def loss(parameters, x):
        return functional_call(module, parameters, (x, )).square().sum()

    found = grad(loss, (0, 1))(parameters, x)
    _, (x_grad, *expected) = gradients(module, module, x)
    expect(found[1], torch.zeros_like(x) if x_grad is None else x_grad)
    for a, b in zip(found[0].values(), expected):
        expect(a, torch.zeros_like(a) if b is None else b)


def by_vmap(module, x):
    """A map over images, with their gradients, and one over two models."""

    def loss(image):
        return module(image[None]).square().sum()

    expected = torch.stack([module(image[None]) for image in x])
    expect(vmap(lambda image: module(image[None]))(x), expected)
    with torch.no_grad():
        expect(vmap(lambda image: module(image[None]))(x), expected)
    expected = torch.stack([grad(loss)(image) for image in x])
    expect(vmap(grad(loss))(x), expected)
    parameters = dict(module.named_parameters())
    if parameters:
        models = {k: torch.stack([v, 2 - v]) for k, v in parameters.items()}
        found = vmap(lambda p: functional_call(module, p, (x, )))(models)
        expect(found[0], module(x))


def by_forward_mode(module, x):
    """The product with a tangent is that of the reverse mode."""
    tangent = torch.randn_like(x)
    out, found = jvp(module, (x, ), (tangent, ))
    expect(out, module(x))
    upstream = torch.randn_like(out)
    x_grad, = torch.autograd.grad(module(x), x, upstream)
    expect((found * upstream).sum(), (tangent * x_grad).sum())
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.detach(), tangent)
        expect(forward_ad.unpack_dual(module(dual)).tangent, found)


def by_jacobians(module, x):
    """One after the other, and all of them at once."""
    x = x[:1].detach()
    expected = torch.autograd.functional.jacobian(module, x)
    expect(jacrev(module)(x), expected)
    vectorized = torch.autograd.functional.jacobian(module, x, vectorize=True)
    expect(vectorized, expected)


def twice(module, x):
    """The derivative of a gradient, by torch.func and by create_graph."""
    tangent = torch.randn_like(x)
    parameters = dict(module.named_parameters())

    def loss(parameters, x):
        out = functional_call(module, parameters, (x, ))
        return out.square().sum()

    def product(parameters, x):
        return (grad(loss, 1)(parameters, x) * tangent).sum()

    expected = grad(product, (0, 1))(parameters, x)
    first, = torch.autograd.grad(
        module(x).square().sum(), x, create_graph=True)
    if not first.requires_grad:
        assert not expected[1].any()
        return
    inputs = [*parameters.values(), x]
    found = torch.autograd.grad(
        (first * tangent).sum(), inputs, allow_unused=True)
    for a, b in zip(found, (*expected[0].values(), expected[1])):
        expect(torch.zeros_like(b) if a is None else a, b)


def traced(module, x):
    result = torch.jit.trace(module, x)
    file = io.BytesIO()
    torch.jit.save(result, file)  # no Python is left in it
    return result


def by_onnx(module, x):
    module, x = module.float().eval(), x.detach().float()
    file = io.BytesIO()
    torch.onnx.export(module, (x, ), file, dynamo=False, input_names=['x'])
    session = onnxruntime.InferenceSession(file.getvalue())
    found, = session.run(None, dict(x=x.numpy()))
    torch.testing.assert_close(
        torch.from_numpy(found).view_as(module(x)), module(x))


def by_export(strict):

    def transform(module, x):
        for mode in (True, False):
            module.train(mode)
            program = torch.export.export(
                module, (x.detach(), ), strict=strict)
            expect(program.module()(x), module(x))

    return transform


def by_fx(module, x):
    for mode in (True, False):
        same_training(lambda m, x: torch.fx.symbolic_trace(m.train(mode)),
                      module, x)


@torch.no_grad()
def by_make_fx(module, x):
    expect(make_fx(lambda x: module(x))(x)(x), module(x))


TRANSFORMS = dict(
    trace=lambda m, x: same_training(traced, m, x),
    onnx=by_onnx,
    export=by_export(False),
    strict_export=by_export(True),
    compile=lambda m, x: same_training(
        lambda m, x: torch.compile(m, backend='aot_eager', fullgraph=True), m,
        x),
    make_fx=by_make_fx,
    fx=by_fx,
    func=by_torch_func,
    vmap=by_vmap,
    forward_mode=by_forward_mode,
    jacobians=by_jacobians,
    twice=twice,
    checkpoint=lambda m, x: same_training(
        lambda m, x: lambda x: checkpoint(m, x, use_reentrant=False), m, x),
    deepcopy=lambda m, x: same_copy(copy.deepcopy(m), m, x),
    pickle=lambda m, x: same_copy(pickle.loads(pickle.dumps(m)), m, x))
#: What takes a second each time.
COMPILERS = {'compile', 'strict_export'}
#: Losses have no place in a graph for inference.
LOSSES = {name for name in SUBJECTS if name.endswith('_loss')}
#: Tests make functions without a name, which have no pickle.
NOT_PICKLED = {name for name in SUBJECTS if name[0].islower()} - {'chain'}


def same_copy(other, module, x):
    expect(gradients(other, other, x), gradients(module, module, x))


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('transform', [
    pytest.param(name, marks=[pytest.mark.slow] * (name in COMPILERS))
    for name in TRANSFORMS
])
@pytest.mark.parametrize('name', SUBJECTS)
def test_transform(name, transform):
    if transform == 'pickle' and name in NOT_PICKLED:
        return
    if transform in ('onnx', 'fx') and name in LOSSES:
        return
    torch.compiler.reset()
    TRANSFORMS[transform](*make(name))


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', SUBJECTS)
def test_scripting_works_or_says_what_to_use(name):
    module, x = make(name)
    if isinstance(module, Function):
        return  # a function that Python made
    try:
        found = torch.jit.script(module)
    except RuntimeError as error:
        assert 'Use torch.jit.trace' in str(error)
    else:
        expect(found(x), module(x))
