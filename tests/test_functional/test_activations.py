"""RSign and RPReLU, and the convolution behind, against their definitions."""
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmreact.functional import (ESTIMATORS, binary_conv2d, get_estimator,
                                rprelu, rsign)

SHAPES = [(4, 3), (2, 3, 5), (2, 3, 4, 5), (0, 3, 2, 2)]


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def plain_rsign(x, alpha, estimator='approx'):
    """Signs whose gradient comes from autograd and detached parts."""
    difference = x - alpha.view(-1, *[1] * (x.ndim - 2))
    sign = torch.where(difference > 0, 1., -1.).to(x.dtype)
    slope = get_estimator(estimator)(difference.detach())
    return sign + slope * (difference - difference.detach())


def plain_rprelu(x, gamma, beta, zeta):
    tail = (-1, *[1] * (x.ndim - 2))
    u = x - gamma.view(tail)
    return torch.where(u > 0, u, beta.view(tail) * u) + zeta.view(tail)


def plain_conv(x, weight, bias=None):
    scale = weight.detach().abs().mean((1, 2, 3), keepdim=True)
    sign = scale * torch.where(weight > 0, 1., -1.).to(weight.dtype)
    clipped = weight.clamp(-1, 1)
    return F.conv2d(x, sign + clipped - clipped.detach(), bias, padding=1)


def chain(rsign, rprelu, conv, x, p):
    """RPReLU, two RSigns behind it, two convolutions behind one of these."""
    y = rprelu(x, p['gamma'], p['beta'], p['zeta'])
    s, t = rsign(y, p['alpha']), rsign(y, p['alpha2'])
    return (conv(s, p['w'], p['bias']) * conv(s, p['v']) + y.sin() +
            conv(t, p['v']))


def parameters(dtype=torch.float64):
    shapes = dict(
        gamma=(3, ),
        beta=(3, ),
        zeta=(3, ),
        alpha=(3, ),
        alpha2=(3, ),
        w=(3, 3, 3, 3),
        v=(3, 3, 3, 3),
        bias=(3, ))
    made = {
        name: (random(*shape, seed=i) / 2).to(dtype)
        for i, (name, shape) in enumerate(shapes.items())
    }
    made['beta'][0] = 0  # cannot be inverted
    return {name: value.requires_grad_() for name, value in made.items()}


def ours(x, p):

    def conv(x, weight, bias=None):
        return binary_conv2d(x, weight, bias, padding=1)

    return chain(rsign, rprelu, conv, x, p)


def plain(x, p):
    return chain(plain_rsign, plain_rprelu, plain_conv, x, p)


def gradients(function, x, p, **kwargs):
    out = function(x, p)
    upstream = random(*out.shape, seed=9).to(out.dtype)
    wanted = [x, *p.values()]
    return out, torch.autograd.grad(out, wanted, upstream, **kwargs)


def expect_same(found, expected, tolerance=1e-12):
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=1e-12)
    for a, b in zip(found[1], expected[1]):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert (a - b).norm() <= tolerance * b.norm()


def image(**kwargs):
    return random(2, 3, 6, 5, seed=20).to(**kwargs).requires_grad_()


def test_chain_of_layers():
    expect_same(
        gradients(ours, image(), parameters()),
        gradients(plain, image(), parameters()))


@pytest.mark.parametrize('estimator', ESTIMATORS)
@pytest.mark.parametrize('shape', SHAPES)
def test_every_estimator(shape, estimator):
    """Behind an RPReLU, whose output is computed again, and behind none."""

    def ours(x, p):
        y = rprelu(x, p['gamma'], p['beta'], p['zeta'])
        return rsign(y, p['alpha'], estimator) + rsign(x, p['alpha2'],
                                                       estimator)

    def plain(x, p):
        y = plain_rprelu(x, p['gamma'], p['beta'], p['zeta'])
        return plain_rsign(y, p['alpha'], estimator) + plain_rsign(
            x, p['alpha2'], estimator)

    p = parameters()
    p = {k: p[k] for k in ('gamma', 'beta', 'zeta', 'alpha', 'alpha2')}
    x = random(*shape, seed=20).requires_grad_()
    expect_same(gradients(ours, x, p), gradients(plain, x, p))


def test_backward_again():
    """With retain_graph, and after a backward that ended on the way."""
    x, p = image(), parameters()
    out = ours(x, p)
    upstream = random(*out.shape, seed=9)
    wanted = [x, *p.values()]
    # These end at the convolutions and at the RSigns.
    for some in ([p['w']], [p['alpha2']], [p['v'], p['alpha']]):
        torch.autograd.grad(out, some, upstream, retain_graph=True)
    first, second = (
        torch.autograd.grad(out, wanted, upstream, retain_graph=True)
        for _ in range(2))
    expect_same((out, first), gradients(plain, image(), parameters()))
    for a, b in zip(first, second):
        assert torch.equal(a, b)


@pytest.mark.parametrize('reentrant', [True, False])
def test_activation_checkpoint(reentrant):

    def checkpointed(x, p):
        return checkpoint(ours, x, p, use_reentrant=reentrant)

    x, p = image(), parameters()
    out = checkpointed(x, p)
    out.backward(random(*out.shape, seed=9))
    found = out, [x.grad, *(v.grad for v in p.values())]
    expect_same(found, gradients(plain, image(), parameters()))


def test_changed_in_place():
    """What is between an RPReLU, an RSign and a convolution is seen."""

    def ours(x, p):
        y = rprelu(x, p['gamma'], p['beta'], p['zeta']).mul_(1.5)
        s = rsign(y, p['alpha'])
        return binary_conv2d(s * 2, p['w'], padding=1)

    def plain(x, p):
        y = plain_rprelu(x, p['gamma'], p['beta'], p['zeta']) * 1.5
        return plain_conv(plain_rsign(y, p['alpha']) * 2, p['w'])

    p = parameters()
    p = {k: p[k] for k in ('gamma', 'beta', 'zeta', 'alpha', 'w')}
    expect_same(gradients(ours, image(), p), gradients(plain, image(), p))


def test_changed_afterwards():
    """As with any layer of torch, autograd refuses to go on."""
    x, p = image(), parameters()
    y = rprelu(x * 1, p['gamma'], p['beta'], p['zeta'])
    out = binary_conv2d(rsign(y, p['alpha']), p['w'])
    with torch.no_grad():
        p['gamma'] += 1
    with pytest.raises(RuntimeError, match='modified by an inplace'):
        out.sum().backward()


@pytest.mark.parametrize('name', ['x', *parameters()])
def test_without_one_gradient(name):
    """Frozen inputs and parameters get none, the others theirs."""
    everything = dict(parameters(), x=image())
    everything[name].requires_grad_(False)
    x = everything.pop('x')
    ours(x, everything).sum().backward()
    expected = dict(parameters(), x=image())
    plain(expected.pop('x'), expected).sum().backward()
    for key, value in everything.items():
        if key == name:
            assert value.grad is None
        else:
            torch.testing.assert_close(
                value.grad, expected[key].grad, rtol=1e-12, atol=1e-12)


def test_channels_last():
    x = image(memory_format=torch.channels_last)
    found = gradients(ours, x, parameters())
    expect_same(found, gradients(plain, image(), parameters()))
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    assert found[1][0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('half', [torch.bfloat16, torch.float16])
def test_autocast(half):
    """Only the convolution computes in 16 bits, where signs are exact."""
    x = image(dtype=torch.float32)
    p = parameters(torch.float32)
    with torch.autocast('cpu', half):
        y = rprelu(x, p['gamma'], p['beta'], p['zeta'])
        s = rsign(y, p['alpha'])
        out = binary_conv2d(s, p['w'], padding=1)
    assert (y.dtype, s.dtype, out.dtype) == (torch.float32, torch.float32,
                                             half)
    assert torch.equal(y, rprelu(x, p['gamma'], p['beta'], p['zeta']))
    expected = plain_conv(s.detach(), p['w'])
    torch.testing.assert_close(out.float(), expected, rtol=0.02, atol=0.02)
    upstream = random(*out.shape, seed=9).to(half)
    wanted = [x, *(p[k] for k in ('gamma', 'beta', 'zeta', 'alpha', 'w'))]
    found = torch.autograd.grad(out, wanted, upstream)
    full = binary_conv2d(
        rsign(rprelu(x, p['gamma'], p['beta'], p['zeta']), p['alpha']),
        p['w'],
        padding=1)
    for a, b in zip(found, torch.autograd.grad(full, wanted,
                                               upstream.float())):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.02 * b.norm()


def saved(function):
    """Sizes of the storages that forward keeps."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        function()
    return sorted(storage.nbytes() for storage in kept.values())


def test_what_is_kept():
    """One map, the input of the RPReLU, whatever follows; and parameters."""
    x, p = image(), parameters()
    sizes = {name: p[name].untyped_storage().nbytes() for name in p}
    small = ('gamma', 'beta', 'zeta', 'alpha')

    def run():
        y = rprelu(x * 1, p['gamma'], p['beta'], p['zeta'])
        s = rsign(y, p['alpha'])
        binary_conv2d(s, p['w'])
        binary_conv2d(s, p['v'])

    maps = [x.numel() * 8]
    assert saved(run) == sorted(maps +
                                [sizes[name] for name in (*small, 'w', 'v')])


def test_nothing_is_left_behind():
    """Without the garbage collector, a graph goes when its output does."""
    gc.disable()
    try:
        x = image()
        y = x * 1
        alive = weakref.ref(y)
        p = parameters()
        out = ours(y, p)
        del y
        out.sum().backward()
        del out
        assert alive() is None
    finally:
        gc.enable()


def test_nothing_waits_for_the_device():
    """No value is copied to the host: on a GPU that would stop the queue."""
    x, p = image(), parameters()
    with torch.profiler.profile() as profile:
        ours(x, p).sum().backward()
    names = {event.key for event in profile.key_averages()}
    assert 'aten::convolution_backward' in names
    assert not names & {
        'aten::item', 'aten::_local_scalar_dense', 'aten::is_nonzero',
        'aten::nonzero', 'aten::equal', 'aten::to_cpu'
    }


def test_compiles_to_one_graph():
    compiled = torch.compile(ours, fullgraph=True, backend='aot_eager')
    expect_same(
        gradients(compiled, image(), parameters()),
        gradients(plain, image(), parameters()))


def test_in_a_module_with_hooks():
    """Hooks that change what is between the layers are respected."""
    first = nn.Identity()
    first.register_forward_hook(lambda module, args, out: out + 0.25)

    def ours(x, p):
        y = first(rprelu(x, p['gamma'], p['beta'], p['zeta']))
        return binary_conv2d(rsign(y, p['alpha']), p['w'], padding=1)

    def plain(x, p):
        y = plain_rprelu(x, p['gamma'], p['beta'], p['zeta']) + 0.25
        return plain_conv(plain_rsign(y, p['alpha']), p['w'])

    p = parameters()
    p = {k: p[k] for k in ('gamma', 'beta', 'zeta', 'alpha', 'w')}
    expect_same(gradients(ours, image(), p), gradients(plain, image(), p))


def test_derivative_of_a_gradient():
    """As from the gradients' formulas, written out and differentiated."""
    x, p = image(), parameters()
    v, w = random(2, 3, 6, 5, seed=30), random(2, 3, 6, 5, seed=31)
    shape = (-1, 1, 1)
    u = x - p['gamma'].view(shape)
    # RPReLU: d/dx = (1 or beta) v, then again along w.
    slope = torch.where(u > 0, torch.ones_like(u), p['beta'].view(shape))
    wanted = [x, p['beta'], p['gamma']]
    expected = torch.autograd.grad(
        (slope * v * w).sum(), wanted, allow_unused=True)
    y = rprelu(x, p['gamma'], p['beta'], p['zeta'])
    first, = torch.autograd.grad((y * v).sum(), x, create_graph=True)
    found = torch.autograd.grad((first * w).sum(), wanted, allow_unused=True)
    assert expected[0] is None and not found[0].any() and not found[2].any()
    torch.testing.assert_close(found[1], expected[1])
    # RSign: d/dx = g(x - alpha) v with g = 2 - 2 |x - alpha| or 0.
    difference = x - p['alpha'].view(shape)
    g = (2 - 2 * difference.abs()).clamp(min=0)
    wanted = [x, p['alpha']]
    expected = torch.autograd.grad((g * v * w).sum(), wanted)
    first, = torch.autograd.grad(
        (rsign(x, p['alpha']) * v).sum(), x, create_graph=True)
    found = torch.autograd.grad((first * w).sum(), wanted)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b)
