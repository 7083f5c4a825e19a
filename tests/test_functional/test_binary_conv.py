"""Binary convolution and linear layer against loops in NumPy."""
import numpy as np
import pytest
import torch

from mmreact.functional import WEIGHT_BINARIZERS, binary_conv2d, binary_linear


def naive_weight(weight, binarizer):
    """What ReActNet's section 3 says, filter by filter."""
    if binarizer == 'real':
        return weight
    out = np.empty_like(weight)
    for i, latent in enumerate(weight):
        alpha = np.abs(latent).sum() / latent.size
        scale = dict(sign=1., scaled_sign=alpha, xnor_sign=alpha)
        for index, value in np.ndenumerate(latent):
            out[i][index] = scale[binarizer] * (1 if value > 0 else -1)
    return out


def naive_conv(x, weight, bias, stride, padding, dilation, groups):
    """One output value and one tap at a time; taps in the padding add 0."""
    n, _, height, width = x.shape
    cout, cin, kh, kw = weight.shape
    oh = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0]
    ow = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1]
    out = np.zeros((n, cout, oh + 1, ow + 1))
    for b, o, i, j in np.ndindex(out.shape):
        group = o // (cout // groups)
        for c, u, v in np.ndindex(cin, kh, kw):
            row = i * stride[0] - padding[0] + u * dilation[0]
            column = j * stride[1] - padding[1] + v * dilation[1]
            if 0 <= row < height and 0 <= column < width:
                out[b, o, i, j] += x[b, group * cin + c, row,
                                     column] * weight[o, c, u, v]
        out[b, o, i, j] += 0 if bias is None else bias[o]
    return out


# size, (cin, cout), kernel, stride, padding, dilation, groups, bias
CASES = [
    ((1, 1), (1, 1), (1, 1), (1, 1), (0, 0), (1, 1), 1, False),
    ((4, 4), (3, 2), (3, 3), (1, 1), (1, 1), (1, 1), 1, False),
    ((5, 4), (2, 3), (3, 3), (2, 2), (1, 1), (1, 1), 1, True),
    ((2, 2), (2, 2), (3, 3), (2, 2), (1, 1), (1, 1), 1, False),
    ((4, 5), (4, 6), (3, 3), (1, 1), (1, 1), (1, 1), 2, False),
    ((3, 3), (3, 3), (3, 3), (1, 1), (1, 1), (1, 1), 3, True),
    ((6, 5), (2, 2), (3, 3), (1, 1), (2, 2), (2, 2), 1, False),
    ((5, 7), (2, 2), (1, 3), (2, 1), (0, 2), (1, 2), 1, True),
    ((1, 1), (2, 2), (3, 3), (1, 1), (2, 2), (1, 1), 1, False),
    ((3, 3), (65, 2), (1, 1), (1, 1), (0, 0), (1, 1), 1, False),
]


@pytest.mark.parametrize('binarizer', WEIGHT_BINARIZERS)
@pytest.mark.parametrize(
    'size,channels,kernel,stride,padding,dilation,'
    'groups,with_bias', CASES)
def test_conv(size, channels, kernel, stride, padding, dilation, groups,
              with_bias, binarizer):
    rng = np.random.default_rng(0)
    cin, cout = channels
    x = np.where(rng.random((2, cin, *size)) > 0.5, 1., -1.)
    weight = rng.normal(size=(cout, cin // groups, *kernel))
    weight.flat[0] = 0
    bias = rng.normal(size=cout) if with_bias else None
    ours = binary_conv2d(
        torch.from_numpy(x), torch.from_numpy(weight),
        None if bias is None else torch.from_numpy(bias), stride, padding,
        dilation, groups, binarizer)
    expected = naive_conv(x, naive_weight(weight, binarizer), bias, stride,
                          padding, dilation, groups)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('size,expected', [
    (1, [[1]]),
    (2, [[4, 4], [4, 4]]),
    (3, [[4, 6, 4], [6, 9, 6], [4, 6, 4]]),
])
def test_padding_adds_nothing(size, expected):
    """Padding with -1 would give 9 - 2 * (padded taps) instead."""
    out = binary_conv2d(
        torch.ones(1, 1, size, size),
        torch.full((1, 1, 3, 3), 0.2),
        padding=1,
        binarizer='sign')
    assert out[0, 0].tolist() == expected


def test_zero_weight_counts_as_minus_one():
    x = torch.ones(1, 4, 1, 1)
    weight = torch.tensor([0., -0., 1., 3.]).view(1, 4, 1, 1)
    assert binary_conv2d(x, weight, binarizer='sign').item() == 0
    assert binary_conv2d(x, -weight, binarizer='sign').item() == -4
    # alpha = 4 / 4 = 1: the zeros take part in the mean.
    assert binary_conv2d(x, -weight).item() == -4
    assert binary_conv2d(x, weight).item() == 0
    # Three weights (-0, 1, 3): alpha = 4 / 3, signs -1 + 1 + 1.
    assert binary_conv2d(x[:, 1:], weight[:, 1:]).item() == \
        pytest.approx(4 / 3, rel=1e-7)


@pytest.mark.parametrize('scale', [0.25, 128.])
def test_gradients(scale):
    """d/dW is the correlation with x on |W| <= 1, not multiplied by alpha;
    d/dx is the binarized weight."""
    latent = torch.tensor([[1., -1., 1.5, 0.]]).view(1, 4, 1, 1)
    weight = latent.clone().requires_grad_()
    x = (torch.tensor([1., -1., 1., -1.]) * scale).view(1, 4, 1, 1)
    x.requires_grad_()
    (binary_conv2d(x, weight) * 2).sum().backward()
    assert weight.grad.flatten().tolist() == [
        2 * scale, -2 * scale, 0, -2 * scale
    ]
    alpha = 3.5 / 4
    assert x.grad.flatten().tolist() == [
        2 * alpha, -2 * alpha, 2 * alpha, -2 * alpha
    ]


@pytest.mark.parametrize('binarizer', WEIGHT_BINARIZERS)
@pytest.mark.parametrize('shape', [(3, ), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize('with_bias', [False, True])
def test_linear(shape, with_bias, binarizer):
    rng = np.random.default_rng(1)
    x = np.where(rng.random(shape) > 0.5, 1., -1.)
    weight = rng.normal(size=(4, 3))
    weight[1, 1] = 0
    bias = rng.normal(size=4) if with_bias else None
    used = naive_weight(weight, binarizer)
    expected = np.zeros((*shape[:-1], 4))
    for index in np.ndindex(expected.shape):
        expected[index] = sum(x[index[:-1]][k] * used[index[-1]][k]
                              for k in range(3))
        expected[index] += 0 if bias is None else bias[index[-1]]
    ours = binary_linear(
        torch.from_numpy(x), torch.from_numpy(weight),
        None if bias is None else torch.from_numpy(bias), binarizer)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('function,x,weight', [
    (binary_conv2d, torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)),
    (binary_linear, torch.ones(1, 1), torch.ones(1, 1)),
])
def test_unknown_binarizer(function, x, weight):
    with pytest.raises(ValueError, match='ternary.*scaled_sign'):
        function(x, weight, binarizer='ternary')
