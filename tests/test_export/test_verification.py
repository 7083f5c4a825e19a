"""verify sees every kind of mistake, and explains what is none."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mmreact.export import LoweringError, lower, verify
from mmreact.export.report import Difference, LayerCheck, VerifyReport
from mmreact.functional import WEIGHT_BINARIZERS, WeightBinarizer
from mmreact.layers import BinaryConv2d, BinaryLinear, RPReLU, RSign
from mmreact.packed import ops
from mmreact.packed.bits import unpack
from mmreact.packed.program import Program
from mmreact.packed.reference import ReferenceBackend


def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8),
        nn.BatchNorm2d(8, eps=0.1), RSign(8), BinaryConv2d(8, 8, 3, padding=1),
        nn.MaxPool2d(2), nn.BatchNorm2d(8), RSign(8),
        BinaryConv2d(8, 8, 3, groups=2), RPReLU(8), nn.AdaptiveAvgPool2d(3),
        nn.Flatten(), nn.Linear(72, 5, bias=False))
    nn.init.normal_(net[-1].weight)  # several classes are predicted
    return net


@pytest.fixture(scope='module')
def model(randomize):
    return randomize(network())


@pytest.fixture(scope='module')
def x(images):
    return images(8, 3, 10, 10)


@pytest.fixture(scope='module')
def program(model):
    return lower(model, (3, 10, 10))


def changed(program, name, **constants):
    """The program with other constants in one operation."""
    operations = []
    for op in program.operations:
        if op.name == name:
            values = {k: v(getattr(op, k).copy())
                      for k, v in constants.items()}  # yapf: disable
            op = replace(op, **values)
        operations.append(op)
    return Program(program.input_shape, operations, program.output)


def at(index, function):
    """A change of one number of an array."""

    def change(array):
        array.reshape(-1)[index] = function(array.reshape(-1)[index])
        return array

    return change


def test_what_a_good_program_gives(model, program, x):
    report = verify(model, program, x)
    assert report.ok and not report.failures and not report.differences
    assert report.images == report.equal_predictions == 8
    assert report.backend == 'reference'
    assert 0 <= report.largest_logit_difference < 1e-4
    layers = {layer.name: layer for layer in report.layers}
    assert list(layers) == [op.name for op in program.operations]
    assert layers['4'].accumulators == layers['8'].accumulators == 0
    assert layers['0'].accumulators is None
    assert layers['3'].values == layers['4'].values == 8 * 8 * 10 * 10
    assert layers['8'].values == 8 * 8 * 3 * 3
    assert layers['3'].signs == 0 <= layers['0'].error < 1
    text = str(report)
    assert report.verdict == 'verified' and report.ties == 0
    assert text.endswith(
        '\nVerified: every operation gives what the model gives for equal '
        'inputs, and all 8 predictions are equal.')
    assert '8 of 8 predictions' in text
    assert len(text.splitlines()) == 4 + len(layers)


# operation, changes of its constants, what of its check must show it
MISTAKES = [
    ('0', dict(weight=at(5, lambda v: v + 1e-4)), 'error'),
    ('0', dict(weight=at(5, lambda v: v * (1 + 1e-4))), 'error'),
    ('0', dict(bias=at(1, lambda v: v + 1e-4)), 'error'),
    ('3', dict(threshold=at(1, lambda v: v + 0.05)), 'wrong'),
    ('3', dict(flip=at(0, lambda v: 1 - v)), 'wrong'),
    ('4', dict(weight=at(0, lambda v: v ^ np.uint64(1))), 'accumulators'),
    ('4', dict(weight=at(-1, lambda v: v ^ np.uint64(128))), 'accumulators'),
    ('4', dict(scale=at(2, lambda v: v * 1.0001)), 'error'),
    ('4', dict(shift=at(2, lambda v: v + 1e-4)), 'error'),
    ('7', dict(flip=at(4, lambda v: 1 - v)), 'wrong'),
    ('7', dict(threshold=at(7, lambda v: -v)), 'wrong'),
    ('8', dict(weight=at(3, lambda v: v ^ np.uint64(2))), 'accumulators'),
    ('9', dict(gamma=at(1, lambda v: v + 0.001)), 'error'),
    ('9', dict(beta=lambda v: v + 0.001), 'error'),
    ('9', dict(zeta=at(1, lambda v: v + 0.001)), 'error'),
    ('12', dict(weight=at(7, lambda v: v + 0.001)), 'error'),
]


@pytest.mark.parametrize('name,changes,shown', MISTAKES)
def test_one_wrong_constant_is_found(model, program, x, name, changes, shown):
    report = verify(model, changed(program, name, **changes), x)
    assert not report.ok
    failed = [layer for layer in report.layers if not layer.ok]
    assert [layer.name for layer in failed] == [name]
    assert getattr(failed[0], shown) > 0
    if shown == 'error':
        assert failed[0].error > 1
    assert f'NOT VERIFIED: {name}' in report.table().splitlines()[-1]
    assert report.verdict == 'wrong'


class Wrong(ReferenceBackend):
    """The reference with a mistake in the result of one operation."""
    name = 'wrong'
    place = ''

    def run(self, x, names):
        found = super().run(x, names)
        if self.place in found:
            y = found[self.place].copy()
            y[0, 0, 0, 0] = -y[0, 0, 0, 0] * (1 if y.dtype == np.int8 else 2)
            found[self.place] = y
        return found


@pytest.mark.parametrize('place', ['0', '3', '4', '9'])
def test_a_wrong_backend_is_found(model, program, x, place):
    backend = Wrong(program)
    backend.place = place
    report = verify(model, program, x, backend)
    assert report.backend == 'wrong' and place in report.failures
    layer, = [layer for layer in report.layers if layer.name == place]
    assert layer.backend_wrong == 1 if place == '3' else (layer.backend_error
                                                          > 1)


def test_a_right_backend(model, program, x):

    class Right:
        """The reference, of which verify does not know that it is."""
        name = 'right'

        def run(self, x, names):
            return ReferenceBackend(program).run(x, names)

    report = verify(model, program, x, Right())
    assert report.ok and '(right)' in report.table()
    assert {layer.backend_error for layer in report.layers} == {0.}


def test_numbers_of_half_precision(model, program, x):
    """Weights that went through float16 have its tolerance."""
    half = program
    for name in ('0', '12'):
        half = changed(half, name, weight=lambda w: w.astype('e').astype('f'))
    report = verify(model, half, x)
    layers = {layer.name: layer for layer in report.layers}
    assert layers['0'].ok and layers['12'].ok and layers['0'].error > 0.01
    wrong = changed(
        half, '0', weight=at(0, lambda v: np.float32(np.float16(v + 0.1))))
    assert '0' in verify(model, wrong, x).failures


def test_batches(model, program, x):
    """An array is cut into batches; an iterable of batches is as good."""
    whole = verify(model, program, x)
    for images in (x.numpy(), iter([x[:3], x[3:].numpy()])):
        report = verify(model, program, images, batch_size=3)
        assert report.images == 8 and report.ok
        assert [layer.values for layer in report.layers
                ] == [layer.values for layer in whole.layers]


def test_a_program_of_another_model(model, program, x):
    other = nn.Sequential(*network(), nn.ReLU()).eval()
    with pytest.raises(LoweringError, match='not lowered from this model'):
        verify(other, program, x)
    shorter = Program(program.input_shape, program.operations[:-1],
                      program.operations[-2].name)
    with pytest.raises(LoweringError, match='not lowered from this model'):
        verify(model, shorter, x)


def test_rounding_of_torch_is_counted_and_explained():
    """Numbers for which torch's float32 falls on the other side.

    x - 1 + 2^-30 is above 0 at x = 1, but BN's float32 loses the 2^-30.
    """
    bn = nn.BatchNorm2d(1, eps=0.)
    bn.running_mean.fill_(1.)
    bn.bias.data.fill_(2.**-30)
    sign, conv = RSign(1), BinaryConv2d(1, 2, 1, weight_binarizer='sign')
    conv.weight.data[:] = torch.tensor([1., -1.]).view(2, 1, 1, 1)
    model = nn.Sequential(bn, sign, conv, nn.Flatten()).eval()
    x = torch.tensor([1., 2., -4., 1.]).view(4, 1, 1, 1)
    program = lower(model, (1, 1, 1))
    report = verify(model, program, x)
    first, second, _ = report.layers
    with torch.no_grad():
        assert model(x).argmax(1).tolist() == [1, 0, 1, 1]
    assert (first.signs, first.wrong, second.accumulators) == (2, 0, 0)
    assert first.distance == pytest.approx(2.**-24 / 4) and report.ok
    assert [d.image for d in report.differences] == [0, 3]
    difference = report.differences[0]
    assert (difference.torch, difference.packed) == (1, 0)
    assert (difference.layer, difference.signs) == ('1', 1)
    assert difference.explained and difference.distance < 1e-6
    assert 'Image 3: torch predicts 1, packed 0' in report.table()
    assert report.equal_predictions == report.flipped == 2
    assert report.verdict == 'undecided'
    assert 'NOT DECIDED' in report.table() and '2 of 4' in report.table()
    assert report.ties == 0  # the sum is beside the threshold, not on it


def test_a_far_difference_is_not_explained(model, program, x):
    """Other predictions from signs that were far from their threshold."""
    worse = changed(program, '3', threshold=lambda t: t + 5.)
    report = verify(model, worse, x)
    assert report.differences
    assert not any(d.explained for d in report.differences)
    assert {d.layer for d in report.differences} == {'3'}
    assert f'image {report.differences[0].image}' in report.failures


def test_without_signs_only_the_logits_differ():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).eval()
    with torch.no_grad():
        model[1].weight[:] = torch.tensor([[1., 0.], [1., 1e-8]])
        model[1].bias.zero_()
    program = lower(model, (2, 1, 1))
    x = torch.ones(1, 2, 1, 1)
    for change, near in ((1e-6, True), (9., False)):
        other = changed(
            program, '1', bias=lambda b: b + np.float32([0, change]))
        report = verify(model, other, x)
        difference, = report.differences
        assert difference.layer is None and difference.explained == near
        assert difference.distance == pytest.approx(change, rel=0.1)
        assert 'No sign differs' in report.table()


def test_cancelling_scale_and_shift_have_a_tolerance():
    """A BN far from its mean: rounding of 1000, not of the result."""
    conv, bn = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)
    with torch.no_grad():
        conv.weight.fill_(1.1)
        conv.bias.fill_(999.77)
        bn.running_mean.fill_(1000.3)
        bn.running_var.fill_(1e-6)
    model = nn.Sequential(conv, bn).eval()
    program = lower(model, (1, 4, 4))
    x = torch.randn(2, 1, 4, 4) * 1e-3 + 0.5
    assert verify(model, program, x).ok
    wrong = changed(program, '0', bias=lambda b: b * np.float32(1 + 1e-5))
    assert not verify(model, wrong, x).ok


def test_every_operation_has_a_magnitude(images):
    """The error of a real result never hides behind a magnitude of 0."""
    from mmreact.export.tolerance import magnitude
    op = ops.RPReLU('r', ('x', ), *np.float32([[-2.], [3.], [-1.]]))
    x = np.float32([1., 0., 5.]).reshape(3, 1)
    assert magnitude(op, x).ravel().tolist() == [10., 7., 22.]
    conv = ops.Affine('a', ('x', ), *np.float32([[-2.], [3.]]))
    assert magnitude(conv, x).ravel().tolist() == [5., 3., 13.]
    add = ops.Add('b', ('x', 'x'))
    assert magnitude(add, x, x).ravel().tolist() == [2., 0., 10.]


def test_the_trace_is_compared_with_the_model():
    """A forward that does something else the next time it runs."""

    class Counting(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    model = nn.Sequential(Counting(), nn.Flatten())
    program = lower(model, (2, 3, 3))
    assert verify(model, program, torch.randn(1, 2, 3, 3)).ok
    with pytest.raises(LoweringError, match='something else than the model'):
        verify(model, program, torch.randn(2, 2, 3, 3), batch_size=1)


def verdict_of(images, equal, explained=True, wrong=0):
    layer = LayerCheck('conv', 'sign', wrong=wrong)
    differences = [
        Difference(i, 0, 1, 'conv', 1, 0., explained)
        for i in range(images - equal)
    ]
    report = VerifyReport([layer], 'reference', images, equal, 0, differences)
    return report.verdict, report.table().splitlines()[-1]


@pytest.mark.parametrize('arguments,verdict,words', [
    ((16, 16), 'verified', ['Verified: ', 'all 16 predictions are equal']),
    ((1, 1), 'verified', ['Verified: ', 'all 1 predictions']),
    ((16, 14), 'verified', ['Verified: ', '2 of 16 predictions differ by']),
    ((8, 7), 'verified', ['1 of 8 predictions differs']),
    ((16, 13), 'undecided', ['NOT DECIDED: ', '3 of 16', 'accuracy']),
    ((7, 6), 'undecided', ['NOT DECIDED: ', '1 of 7']),
    ((2, 0), 'undecided', ['NOT DECIDED: ', '2 of 2 predictions differ']),
    ((0, 0), 'undecided', ['NOT DECIDED: there were no images']),
    ((16, 15, False), 'wrong', ['NOT VERIFIED: image 0']),
    ((16, 16, True, 1), 'wrong', ['NOT VERIFIED: conv']),
    ((2, 0, True, 1), 'wrong', ['NOT VERIFIED: conv']),
])
def test_every_verdict(arguments, verdict, words):
    found, line = verdict_of(*arguments)
    assert found == verdict
    for word in words:
        assert word in line


def tying_network(bias):
    """1-bit layers with a scale that float32 rounds, and no BN."""
    torch.manual_seed(3)
    layers = []
    for _ in range(3):
        layers += [
            RSign(16, learnable=False),
            BinaryConv2d(16, 16, 3, padding=1, bias=bias)
        ]
        if bias:
            nn.init.normal_(layers[-1].bias)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 4)).eval()


def test_ties_are_a_cause_of_their_own():
    """Sums of an even number of terms that are exactly 0."""
    x = torch.randn(6, 16, 4, 4)
    model = tying_network(bias=False)
    report = verify(model, lower(model, (16, 4, 4)), x)
    assert report.ok and report.ties > 0
    # Independently: exact integers on the signs that torch feeds.
    with torch.no_grad():
        y, ties = x, 0
        for i in (0, 2):
            signs = model[i](y)
            weight = torch.where(model[i + 1].weight > 0, 1., -1.).double()
            sums = torch.nn.functional.conv2d(
                signs.double(), weight, padding=1)
            y = model[i + 1](signs)
            ties += int(((sums == 0) & (y > 0)).sum())
    assert report.ties == ties
    assert f'{ties} signs are ties' in report.table()
    assert all(d.ties > 0 for d in report.differences if d.layer)
    model = tying_network(bias=True)
    report = verify(model, lower(model, (16, 4, 4)), x)
    assert report.ties == 0 and 'ties' not in report.table()


def centred(weight):
    """A binarizer that centres: dyadic weights, so that it is exact."""
    weight = weight - weight.mean((1, 2, 3), keepdim=True)
    return torch.where(weight > 0, 1., -1.).to(weight)


def negated(weight):
    return torch.where(weight > 0, -0.5, 0.5).to(weight)


@pytest.mark.parametrize('function', [centred, negated])
def test_binarizers_that_change_signs(function, monkeypatch):
    """The truth is what the binarizer gives, not the latent sign."""
    monkeypatch.setitem(WEIGHT_BINARIZERS, 'own',
                        WeightBinarizer(function, one_bit=True))
    conv = BinaryConv2d(4, 4, 2, weight_binarizer='own')
    with torch.no_grad():
        conv.weight.copy_(torch.randint(1, 9, conv.weight.shape) / 8)
    model = nn.Sequential(
        RSign(4), conv, nn.Flatten(), RSign(36, channel_dim=-1),
        BinaryLinear(36, 3)).eval()
    program = lower(model, (4, 4, 4))
    bits = unpack(program.operations[1].weight, 4).transpose(0, 3, 1, 2)
    used = function(conv.weight.detach())
    assert (bits == np.sign(used.numpy())).all() and (used < 0).any()
    report = verify(model, program, torch.randn(4, 4, 4, 4))
    assert report.ok and report.layers[1].accumulators == 0
