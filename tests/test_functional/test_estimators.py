"""Values worked out by hand, derivatives from the primitives by autograd."""
import math
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck

from mmreact.functional import ESTIMATORS, at_progress, get_estimator, sign

INF, NAN = math.inf, math.nan
SECH2 = 4 / (math.e + 1 / math.e)**2  # 1 - tanh(1)^2
TINY = 5e-324  # the smallest float64 above 0
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]

# config -> [(x, g(x))]
GRADIENTS = {
    'identity': (dict(type='identity'), [(-9, 1), (0, 1), (9, 1)]),
    'clip': (dict(type='clip'), [(-1.001, 0), (-1, 1), (-0.5, 1), (0, 1),
                                 (0.5, 1), (1, 1), (1.001, 0), (INF, 0)]),
    'clip 1.25': (dict(type='clip', threshold=1.25), [(-1.26, 0), (-1.25, 1),
                                                      (1.25, 1), (1.26, 0)]),
    'clip 1.3': (dict(type='clip', threshold=1.3), [(-1.3, 1), (-1.301, 0),
                                                    (1.3, 1), (1.301, 0)]),
    'approx': (dict(type='approx'), [(-2, 0), (-1, 0), (-0.75, 0.5), (-0.5, 1),
                                     (0, 2), (0.25, 1.5), (0.5, 1), (1, 0),
                                     (2, 0), (-INF, 0)]),
    # At 0: 5 * 2 / 2.
    'swish': (dict(type='swish'),
              [(0, 5), (1e4, 0), (-1e4, 0),
               (0.2, 5 * (2 - math.tanh(0.5)) / (1 + math.cosh(1))),
               (-0.4, 5 * (2 - 2 * math.tanh(1)) / (1 + math.cosh(2))),
               (1, 5 * (2 - 5 * math.tanh(2.5)) / (1 + math.cosh(5)))]),
    'swish 1':
    (dict(type='swish',
          beta=1.), [(0, 1),
                     (2, (2 - 2 * math.tanh(1)) / (1 + math.cosh(2)))]),
    # t = 0.1, k = 10: nearly the identity.
    'tanh': (dict(type='tanh'), [(0, 1), (1, 1 - math.tanh(0.1)**2),
                                 (-5, 1 - math.tanh(0.5)**2)]),
    # t = 1, k = 1.
    'tanh 0.5': (dict(type='tanh', progress=0.5), [(0, 1), (1, SECH2)]),
    # t = 10, k = 1: nearly the sign.
    'tanh 1': (dict(type='tanh',
                    progress=1.), [(0, 10),
                                   (1, 10 * 4 / (math.e**10 + math.e**-10)**2),
                                   (-0.1, 10 * SECH2), (1e4, 0)]),
    'tanh t': (dict(type='tanh', progress=1., t_max=2.), [(0, 2)]),
}


def swish_sign(x, beta=5.):
    s = torch.sigmoid(beta * x)
    return 2 * s * (1 + beta * x * (1 - s)) - 1


def piecewise_quadratic(x):
    """Bi-Real Net, eq. 7."""
    inside = torch.where(x < 0, 2 * x + x * x, 2 * x - x * x)
    return torch.where(x.abs() < 1, inside, x.sign())


def scheduled_tanh(x, progress=0.):
    t = 10**(2 * progress - 1)
    return max(1 / t, 1) * torch.tanh(t * x)


# name, parameters -> the function whose derivative the estimator is
PRIMITIVES = [
    ('identity', {}, lambda x: x),
    ('clip', {}, lambda x: x.clamp(-1, 1)),
    ('clip', dict(threshold=1.3), lambda x: x.clamp(-1.3, 1.3)),
    ('approx', {}, piecewise_quadratic),
    ('swish', {}, swish_sign),
    ('swish', dict(beta=2.), partial(swish_sign, beta=2.)),
    ('tanh', {}, scheduled_tanh),
    ('tanh', dict(progress=0.3), partial(scheduled_tanh, progress=0.3)),
    ('tanh', dict(progress=1.), partial(scheduled_tanh, progress=1.)),
]


def test_every_estimator_is_in_the_tables():
    assert {config['type'] for config, _ in GRADIENTS.values()} == \
        {name for name, *_ in PRIMITIVES} == set(ESTIMATORS)


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('name', ESTIMATORS)
def test_forward(name, dtype):
    table = [(0., -1), (-0., -1), (NAN, -1), (INF, 1), (-INF, -1), (1., 1),
             (-1., -1), (3e-38, 1), (-3e-38, -1), (6e4, 1), (-6e4, -1)]
    if dtype == torch.float16:  # 3e-38 is 0 there; its own smallest:
        table = [row for row in table if abs(row[0]) != 3e-38]
        table += [(6e-8, 1), (-6e-8, -1)]
    if dtype == torch.float64:
        table += [(TINY, 1), (-TINY, -1)]
    x, expected = torch.tensor(table, dtype=torch.float64).t()
    y = sign(x.to(dtype), name)
    assert y.dtype == dtype
    assert y.tolist() == expected.tolist()


@pytest.mark.parametrize('shape', [(), (0, 3), (2, 3, 1, 1)])
@pytest.mark.parametrize('name', ESTIMATORS)
def test_shapes(name, shape):
    x = torch.full(shape, 0.5, requires_grad=True)
    y = sign(x, name)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize(
    'config,table', GRADIENTS.values(), ids=GRADIENTS.keys())
def test_gradient(config, table, dtype):
    values, expected = torch.tensor(table, dtype=torch.float64).t()
    x = values.to(dtype)
    if dtype in (torch.bfloat16, torch.float16):
        kept = x.double() == values  # others are not these values any more
        x, expected = x[kept], expected[kept]
    x.requires_grad_()
    upstream = torch.full_like(x, -3)
    sign(x, config).backward(upstream)
    assert x.grad.dtype == dtype
    tolerance = {
        torch.float64: 1e-9,
        torch.float32: 1e-6
    }.get(dtype, 8 * torch.finfo(dtype).eps)
    torch.testing.assert_close(
        x.grad.double(), -3 * expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('name,params,primitive', PRIMITIVES)
def test_derivative_of_the_primitive(name, params, primitive):
    # Away from the kinks (0, +-1, +-1.3), where finite differences fail.
    x = torch.tensor([-7, -2, -1.29, -1.1, -0.9, -0.5, -0.1, -1e-3]).double()
    x = torch.cat([x, -x]).requires_grad_()
    assert gradcheck(primitive, x)  # the primitive's autograd is trustworthy
    expected, = torch.autograd.grad(primitive(x).sum(), x)
    ours, = torch.autograd.grad(sign(x, dict(type=name, **params)).sum(), x)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('config', [row[0] for row in GRADIENTS.values()])
def test_symmetric_and_finite(config):
    x = torch.logspace(-6, 4, 101)
    g = get_estimator(config)
    assert g(x).isfinite().all()
    torch.testing.assert_close(g(x), g(-x))


@pytest.mark.parametrize('config', [row[0] for row in GRADIENTS.values()])
def test_scale_is_a_constant(config):
    x = torch.tensor([[-2., -0.3, 0.], [0.3, 0.9, 2.]], requires_grad=True)
    scale = torch.tensor([[7.], [0.25]], requires_grad=True)
    y = sign(x, config, scale)
    assert y.tolist() == [[-7, -7, -7], [0.25, 0.25, 0.25]]
    y.sum().backward()
    assert scale.grad is None
    assert torch.equal(x.grad, get_estimator(config)(x.detach()))


def test_function_as_estimator():
    x = torch.tensor([-4., 4.], requires_grad=True)
    sign(x, lambda x: x * x).sum().backward()
    assert x.grad.tolist() == [16, 16]


@pytest.mark.parametrize('estimator,expected', [
    ('tanh', dict(type='tanh', progress=0.5)),
    (dict(type='tanh', t_max=2.), dict(type='tanh', t_max=2., progress=0.5)),
    (dict(type='tanh', progress=0.1), dict(type='tanh', progress=0.5)),
    ('approx', 'approx'),
    (dict(type='clip', threshold=1.3), dict(type='clip', threshold=1.3)),
    (torch.sign, torch.sign),
])
def test_at_progress(estimator, expected):
    before = dict(estimator) if isinstance(estimator, dict) else estimator
    assert at_progress(estimator, 0.5) == expected
    assert estimator == before
    with pytest.raises(ValueError, match='step'):
        at_progress('step', 0.5)


@pytest.mark.parametrize('config,words', [
    ('step', ['step', *ESTIMATORS]),
    (dict(type='step'), ['step', *ESTIMATORS]),
    (dict(threshold=1), ['None', *ESTIMATORS]),
    (dict(type='clip', treshold=1), ['clip', 'treshold', 'threshold']),
    (dict(type='tanh', k=1), ['tanh', 'k', 'progress', 't_min', 't_max']),
    (dict(type='approx', beta=1), ['approx', 'beta', 'none']),
])
def test_unknown(config, words):
    before = dict(config) if isinstance(config, dict) else config
    with pytest.raises(ValueError) as error:
        get_estimator(config)
    for word in words:
        assert word in str(error.value)
    assert config == before
