"""The layers against the paper's formulas, and as modules."""
import copy
import pickle

import pytest
import torch
from torch import fx, nn

from mmreact.functional import ESTIMATORS, WEIGHT_BINARIZERS, get_estimator
from mmreact.layers import BinaryConv2d, BinaryLinear, LeakyClip, RPReLU, RSign
from mmreact.layers.rsign import ACTIVATION_BINARIZERS

TRIED = [*ESTIMATORS, dict(type='clip', threshold=1.3)]
LEAVES = (BinaryConv2d, BinaryLinear, RPReLU, RSign)
SHAPES = [(4, 3), (2, 3, 5), (2, 3, 4, 5), (1, 3, 1, 1), (0, 3, 2, 2)]


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def randomized(module):
    """In float64, parameters drawn at random."""
    module = module.double()
    for i, parameter in enumerate(module.parameters()):
        parameter.data = random(*parameter.shape, seed=i + 1)
    return module


def by_channel(x):
    """Yield ``(c, values of channel c)``."""
    return enumerate(x.transpose(0, 1))


@pytest.mark.parametrize('estimator', TRIED)
@pytest.mark.parametrize('shape', SHAPES)
def test_rsign(shape, estimator):
    layer = randomized(RSign(3, estimator))
    x = random(*shape).requires_grad_()
    upstream = random(*shape, seed=9)
    y = layer(x)
    y.backward(upstream)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    g = get_estimator(estimator)
    for c, values in by_channel(x.detach()):
        alpha = layer.alpha[c].item()
        signs = [1 if v > alpha else -1 for v in values.flatten().tolist()]
        assert y[:, c].flatten().tolist() == signs
        gradient = upstream[:, c] * g(values - alpha)
        torch.testing.assert_close(x.grad[:, c], gradient)
        torch.testing.assert_close(layer.alpha.grad[c], -gradient.sum())


@pytest.mark.parametrize('alpha,table', [
    (0.25, [(0.25, -1), (0.2500001, 1), (0.2499999, -1), (0, -1)]),
    (-0.25, [(-0.25, -1), (-0.2499999, 1), (0, 1)]),
    (0., [(0., -1), (-0., -1), (1e-45, 1), (-1e-45, -1)]),
    (1e30, [(1e30, -1), (9e29, -1), (float('inf'), 1)]),
])
def test_rsign_at_its_threshold(alpha, table):
    layer = RSign(1)
    layer.alpha.data.fill_(alpha)
    x, expected = torch.tensor(table).t()
    assert layer(x[:, None]).flatten().tolist() == expected.tolist()


def test_plain_sign_has_no_parameter():
    layer = RSign(3, learnable=False)
    assert list(layer.parameters()) == [] and not layer.state_dict()
    x = torch.tensor([[-0.1, 0., 0.1]])
    assert layer(x).tolist() == [[-1, -1, 1]]
    assert 'learnable=False' in repr(layer)
    # A fresh RSign is the plain sign.
    assert RSign(3)(x).tolist() == [[-1, -1, 1]]


@pytest.mark.parametrize('learnable', [True, False])
@pytest.mark.parametrize('name,function', [('tanh', torch.tanh),
                                           ('real', lambda x: x)])
def test_real_valued_stages_of_rsign(name, function, learnable):
    """The same parameters; values and gradients of the plain function."""
    layer = randomized(RSign(3, learnable=learnable, binarizer=name))
    layer.load_state_dict(RSign(3, learnable=learnable).state_dict())
    randomized(layer)
    x = random(2, 3, 4, 5).requires_grad_()
    copy_of_x = x.detach().clone().requires_grad_()
    upstream = random(2, 3, 4, 5, seed=9)
    y = layer(x)
    y.backward(upstream)
    alpha = layer.alpha.detach().view(-1, 1, 1) if learnable else 0.
    expected = function(copy_of_x - alpha)
    expected.backward(upstream)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(x.grad, copy_of_x.grad)
    if learnable:
        torch.testing.assert_close(layer.alpha.grad, -x.grad.sum((0, 2, 3)))
    assert f'binarizer={name!r}' in repr(layer)


# gamma, slope, zeta -> [(x, y)]: eq. 5 of the paper by hand
RPRELU = [
    (0, 0.25, 0, [(-4, -1), (0, 0), (4, 4)]),
    (1, 0.25, 0, [(-3, -1), (0, -0.25), (1, 0), (2, 1)]),
    (-1, 0.5, 10, [(-3, 9), (-1, 10), (0, 11)]),
    (2, -0.5, -1, [(0, 0), (2, -1), (4, 1)]),
    (0.5, 2, 0.25, [(-0.5, -1.75), (0.5, 0.25), (1.5, 1.25)]),
    (0.5, 0, 0, [(-7, 0), (0.5, 0), (0.75, 0.25)]),
]


@pytest.mark.parametrize('tail', [(), (1, ), (1, 1), (3, 2)])
def test_rprelu(tail):
    """All rows at once, a channel each."""
    layer = RPReLU(len(RPRELU))
    for c, (gamma, beta, zeta, _) in enumerate(RPRELU):
        layer.gamma.data[c], layer.zeta.data[c] = gamma, zeta
        layer.beta.data[c] = beta
    for i in range(3):
        columns = [list(zip(*row[3]))[0][i] for row in RPRELU]
        expected = [list(zip(*row[3]))[1][i] for row in RPRELU]
        shape = (1, -1, *[1] * len(tail))
        x = torch.tensor(columns).float().view(shape).expand(2, -1, *tail)
        wanted = torch.tensor(expected).float().view(shape).expand_as(x)
        assert torch.equal(layer(x), wanted)


@pytest.mark.parametrize('shape', SHAPES)
def test_rprelu_gradients(shape):
    layer = randomized(RPReLU(3))
    x, upstream = random(*shape).requires_grad_(), random(*shape, seed=9)
    layer(x).backward(upstream)
    for c, values in by_channel(x.detach()):
        beta, d = layer.beta[c].item(), upstream[:, c]
        shifted = values - layer.gamma[c].item()
        dx = torch.where(shifted > 0, d, beta * d)
        torch.testing.assert_close(x.grad[:, c], dx)
        torch.testing.assert_close(layer.gamma.grad[c], -dx.sum())
        torch.testing.assert_close(layer.zeta.grad[c], d.sum())
        torch.testing.assert_close(layer.beta.grad[c],
                                   (d * shifted.clamp(max=0)).sum())


def test_rprelu_starts_as_prelu():
    x = random(2, 3, 4, 4).float()
    assert torch.equal(RPReLU(3)(x), nn.PReLU(3)(x))
    assert RPReLU(3, init_slope=0.5).beta.tolist() == [0.5] * 3


MAKERS = dict(
    conv=lambda name: BinaryConv2d(
        4, 6, (3, 1), 2, 1, 2, groups=2, bias=True, weight_binarizer=name),
    linear=lambda name: BinaryLinear(4, 6, True, weight_binarizer=name))
PLAIN = dict(
    conv=lambda: nn.Conv2d(4, 6, (3, 1), 2, 1, 2, groups=2),
    linear=lambda: nn.Linear(4, 6))
INPUTS = dict(conv=(2, 4, 5, 6), linear=(2, 4))


@pytest.mark.parametrize('kind', MAKERS)
@pytest.mark.parametrize('name', WEIGHT_BINARIZERS)
def test_binary_layers_share_their_parameters(kind, name):
    layer, plain = randomized(MAKERS[kind](name)), PLAIN[kind]().double()
    shapes = {k: v.shape for k, v in plain.state_dict().items()}
    assert {k: v.shape for k, v in layer.state_dict().items()} == shapes
    assert layer.one_bit_weight is WEIGHT_BINARIZERS[name].one_bit
    assert f'weight_binarizer={name!r}' in repr(layer)
    # The plain layer with the binarized weight is the same function.
    plain.load_state_dict(layer.state_dict(), strict=True)
    plain.weight.data = WEIGHT_BINARIZERS[name].function(plain.weight.data)
    x = random(*INPUTS[kind])
    torch.testing.assert_close(layer(x), plain(x))
    for other in WEIGHT_BINARIZERS:
        target = MAKERS[kind](other).double()
        target.load_state_dict(layer.state_dict(), strict=True)
        assert torch.equal(target.weight, layer.weight)


def test_bias_is_off_by_default():
    assert BinaryConv2d(1, 1, 1).bias is None
    assert BinaryLinear(1, 1).bias is None


@pytest.mark.parametrize('build,words', [
    (lambda: BinaryConv2d(1, 1, 1, weight_binarizer='ternary'),
     ['ternary', *WEIGHT_BINARIZERS]),
    (lambda: BinaryLinear(1, 1, weight_binarizer='ternary'),
     ['ternary', *WEIGHT_BINARIZERS]),
    (lambda: RSign(1, 'step'), ['step', *ESTIMATORS]),
    (lambda: RSign(1, dict(type='swish', gamma=1)), ['gamma', 'beta']),
    (lambda: RSign(1, binarizer='step'), ['step', *ACTIVATION_BINARIZERS]),
])
def test_wrong_names_fail_at_construction(build, words):
    with pytest.raises(ValueError) as error:
        build()
    for word in words:
        assert word in str(error.value)


def make_net():
    return randomized(
        nn.Sequential(
            RSign(4, dict(type='clip', threshold=1.3)),
            BinaryConv2d(4, 6, 3, padding=1), RPReLU(6), RSign(6),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), BinaryLinear(6, 2)))


@pytest.mark.parametrize(
    'copy_of', [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=['deepcopy', 'pickle'])
def test_copies_are_equal_and_independent(copy_of):
    net, x = make_net(), random(2, 4, 5, 5)
    expected = net(x)
    other = copy_of(net)
    assert repr(other) == repr(net)
    assert torch.equal(other(x), expected)
    for parameter in other.parameters():
        parameter.data.fill_(0.5)
    assert torch.equal(net(x), expected)


def test_leaky_clip():
    x = torch.tensor([-3., -1., -0.5, 0., 1., 2.],
                     dtype=torch.float64).requires_grad_()
    y = LeakyClip()(x)
    y.sum().backward()
    # By hand: -1 - 0.1 * 2 and 1 + 0.1 * 1 beyond the clip.
    torch.testing.assert_close(y.detach(),
                               torch.tensor([-1.2, -1, -0.5, 0, 1, 1.1]).to(y))
    assert x.grad[[0, 2, 3, 5]].tolist() == pytest.approx([0.1, 1, 1, 0.1])
    assert LeakyClip(0.5)(x)[0].item() == -2


def test_fx_keeps_the_layers_as_leaves():

    class Tracer(fx.Tracer):

        def is_leaf_module(self, module, name):
            return isinstance(module, LEAVES) or super().is_leaf_module(
                module, name)

    net, x = make_net(), random(2, 4, 5, 5)
    graph = Tracer().trace(net)
    targets = [node.target for node in graph.nodes if node.op == 'call_module']
    assert targets == list('0123456')
    assert torch.equal(fx.GraphModule(net, graph)(x), net(x))


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_compiles_without_a_graph_break():
    net, x = make_net(), random(2, 4, 5, 5).requires_grad_()
    results = []
    for function in (net,
                     torch.compile(net, fullgraph=True, backend='aot_eager')):
        net.zero_grad()
        x.grad = None
        y = function(x)
        y.square().sum().backward()
        results.append([y, x.grad, *[p.grad for p in net.parameters()]])
    for eager, compiled in zip(*results):
        assert eager.abs().max() > 0
        torch.testing.assert_close(compiled, eager, rtol=1e-9, atol=1e-9)
