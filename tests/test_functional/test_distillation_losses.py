"""Knowledge distillation and attention transfer against closed forms."""
import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from mmreact.functional import (ATTENTION_NORMS, attention_transfer_loss,
                                distillation_loss, distributional_loss)

LOG3 = math.log(3)
# student, teacher, temperature -> loss by hand
KD = [
    ([[1., 2.]], [[1., 2.]], 1, 0.),
    ([[1., 2.]], [[5., 6.]], 3, 0.),  # a shift changes no probability
    # 3/4, 1/4 taught to 1/2, 1/2
    ([[0., 0.]], [[LOG3, 0.]], 1, 0.75 * math.log(1.5) + 0.25 * math.log(.5)),
    # The same probabilities at T = 2, times 4
    ([[0., 0.]], [[2 * LOG3, 0.]], 2, 3 * math.log(1.5) + math.log(.5)),
    # A certain teacher: the student's log-probability of its class
    ([[0., LOG3]], [[1000., 0.]], 1, math.log(4)),
    ([[1000., 0.]], [[1000., 0.]], 1, 0.),
    # The mean over the batch
    ([[0., 0.], [0., LOG3]], [[1000., 0.],
                              [1000., 0.]], 1, (math.log(2) + math.log(4)) / 2)
]


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('student,teacher,temperature,expected', KD)
def test_distillation_by_hand(student, teacher, temperature, expected):
    loss = distillation_loss(
        torch.tensor(student).double(),
        torch.tensor(teacher).double(), temperature)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize('temperature', [0.5, 1, 4])
@pytest.mark.parametrize('shape', [(1, 2), (5, 10)])
def test_distillation_gradient(temperature, shape):
    student = random(*shape).requires_grad_()
    teacher = (3 * random(*shape, seed=1)).requires_grad_()
    distillation_loss(student, teacher, temperature).backward()
    assert teacher.grad is None
    difference = (student.detach() / temperature).softmax(1) - (
        teacher.detach() / temperature).softmax(1)
    torch.testing.assert_close(student.grad,
                               temperature * difference / shape[0])


def test_distillation_is_the_distributional_loss_without_the_entropy():
    student, teacher = random(4, 7), 3 * random(4, 7, seed=1)
    torch.testing.assert_close(
        distillation_loss(student, teacher),
        distributional_loss(student, teacher) -
        distributional_loss(teacher, teacher))


@pytest.mark.parametrize('temperature', [0, -1, float('nan')])
def test_distillation_temperature(temperature):
    with pytest.raises(ValueError, match=f'above 0, got {temperature}'):
        distillation_loss(random(1, 2), random(1, 2), temperature)


def test_distillation_shapes_must_agree():
    with pytest.raises(ValueError, match=r'\(2, 3\) and \(2, 4\)'):
        distillation_loss(random(2, 3), random(2, 4))


def one_map(*values):
    """A feature map 1x1x2x2."""
    return torch.tensor(values).double().view(1, 1, 2, 2)


# student, teacher -> loss by hand with 'max', with 'l2'
AT = [
    (one_map(1, 2, 3, 4), one_map(1, 2, 3, 4), 0, 0),
    (one_map(1, 2, 3, 4), one_map(-2, -4, 6, 8), 0, 0),  # sign and scale
    (one_map(1, 0, 0, 0), one_map(1, 1, 0, 0), 1 / 4, (2 - 2**.5) / 4),
    (one_map(2, 0, 0, 0), one_map(0, 0, 0, 9), 2 / 4, 2 / 4),
    (one_map(1, 2, 0,
             0), one_map(1, 1, 0,
                         0), (3 / 4)**2 / 4, (2 - 2 * 5 / 34**.5) / 4),
    (one_map(0, 0, 0, 0), one_map(0, 3, 0, 0), 1 / 4, 1 / 4),
    # Two channels that look at different places, and one that looks at both
    (torch.cat([one_map(1, 0, 0, 0), one_map(0, 1, 0, 0)],
               1), one_map(7, 7, 0, 0), 0, 0),
]


@pytest.mark.parametrize('student,teacher,by_max,by_l2', AT)
def test_attention_by_hand(student, teacher, by_max, by_l2):
    for norm, expected in dict(max=by_max, l2=by_l2).items():
        loss = attention_transfer_loss([student], [teacher], norm)
        assert loss.shape == ()
        assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert attention_transfer_loss([student], [teacher]) == by_max


def naive(student_feats, teacher_feats, norm):
    """In numpy, an image at a time."""
    points = []
    for student, teacher in zip(student_feats, teacher_feats):
        images = []
        for pair in zip(student.numpy(), teacher.numpy()):
            maps = [np.square(x).mean(axis=0) for x in pair]
            maps = [
                q / (q.max() if norm == 'max' else np.sqrt((q * q).sum()))
                for q in maps
            ]
            images.append(np.square(maps[0] - maps[1]).mean())
        points.append(np.mean(images))
    return np.mean(points)


def some_features(students=(3, 5, 2), teachers=(4, 5, 1)):
    """Three points of two images, from 4x3 to 1x1, of other channels."""
    sizes = ((4, 3), (2, 2), (1, 1))
    return [[
        random(2, c, *size, seed=seed + i)
        for i, (c, size) in enumerate(zip(channels, sizes))
    ] for seed, channels in ((0, students), (10, teachers))]


@pytest.mark.parametrize('norm', ATTENTION_NORMS)
def test_attention_against_numpy(norm):
    student, teacher = some_features()
    got = attention_transfer_loss(student, teacher, norm).item()
    assert got == pytest.approx(naive(student, teacher, norm), rel=1e-12)
    # The mean of the points, of which the last, a pixel, agrees always.
    single = [
        attention_transfer_loss([s], [t], norm).item()
        for s, t in zip(student, teacher)
    ]
    assert got == pytest.approx(sum(single) / 3, rel=1e-12)
    assert single[2] == 0 and min(single[:2]) > 0


@pytest.mark.parametrize('norm', ATTENTION_NORMS)
def test_attention_gradient(norm):
    student, teacher = some_features()
    student = [s.requires_grad_() for s in student]
    teacher = [t.requires_grad_() for t in teacher]
    assert gradcheck(lambda *s: attention_transfer_loss(s, teacher, norm),
                     student)
    attention_transfer_loss(student, teacher, norm).backward()
    assert all(t.grad is None for t in teacher)
    # No gradient along a map: its scale has no effect.
    for s in student:
        assert s.grad.isfinite().all()
        assert (s.grad * s).sum().abs() < 1e-12 * (1 + s.grad.abs().max())


@pytest.mark.parametrize('norm', ATTENTION_NORMS)
def test_attention_of_a_map_of_zeros(norm):
    """As a ReLU leaves it: neither NaN nor infinite gradients."""
    dead = torch.zeros(1, 2, 2, 2, requires_grad=True)
    attention_transfer_loss([dead], [torch.ones(1, 2, 2, 2)], norm).backward()
    assert dead.grad.abs().max() == 0
    alive = torch.ones(1, 2, 2, 2, requires_grad=True)
    attention_transfer_loss([alive], [torch.zeros(1, 2, 2, 2)],
                            norm).backward()
    assert alive.grad.isfinite().all()


@pytest.mark.parametrize('student,teacher,norm,words', [
    ([], [], 'max', 'got 0 and 0'),
    ([(1, 2, 3, 3)], [], 'max', 'got 1 and 0'),
    ([(1, 2, 3, 3)], [(1, 2, 3, 3)] * 2, 'max', 'got 1 and 2'),
    ([(1, 2, 3, 3)] * 2, [(1, 2, 3, 3),
                          (1, 2, 2, 2)], 'max', r'pair 1 .*\(1, 2, 2, 2\)'),
    ([(2, 2, 3, 3)], [(1, 2, 3, 3)], 'max', r'pair 0 .*\(2, 2, 3, 3\)'),
    ([(1, 2)], [(1, 2)], 'max', r'pair 0 .*\(1, 2\)'),
    ([(1, 2, 3, 3)], [(1, 2, 3, 3)], 'l3', 'norm .*l3.*max, l2'),
])
def test_attention_of_what_cannot_be_compared(student, teacher, norm, words):
    with pytest.raises(ValueError, match=words):
        attention_transfer_loss([random(*s) for s in student],
                                [random(*t) for t in teacher], norm)
