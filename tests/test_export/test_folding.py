"""Folding against exact arithmetic: fractions, not another float."""
from fractions import Fraction

import numpy as np
import pytest

from mmreact.export.draft import round_threshold
from mmreact.export.folding import affine_then_sign, clamp_then_sign
from mmreact.packed import ops
from mmreact.packed.reference import run_operation

INF = float('inf')


def signs(x, threshold, flip):
    """The reference's sign of each number in ``x``, in one channel."""
    threshold, flip = np.array([threshold]), np.array([flip], np.uint8)
    op = ops.Sign('s', ('x', ), round_threshold(threshold, flip), flip)
    op.check()
    return run_operation(op, np.asarray(x, np.float32)[:, None])[:, 0].tolist()


def around(center, steps=3):
    """The float32 numbers nearest to a real number, and some far away."""
    with np.errstate(over='ignore'):
        low = high = np.float32(center)
    numbers = {low, *np.float32([0, -0., 1e-40, -1e-40, 1, -1, 3e38, -3e38])}
    for _ in range(steps):
        with np.errstate(over='ignore'):
            low, high = (np.nextafter(x, np.float32(to))
                         for x, to in ((low, -INF), (high, INF)))
        numbers |= {low, high}
    return sorted(x for x in numbers if np.isfinite(x))


def exact(value):
    return Fraction(float(value))


@pytest.mark.parametrize('flip', [0, 1])
@pytest.mark.parametrize('threshold', [
    0., 1., -0.3, 0.1, 1 / 3, 1e-46, -1e-46, 1e-40, 3.4028235e38, 1e39, -1e39,
    16777217., 1 + 2.**-24, -1 - 2.**-24, 1 + 2.**-40, 1 - 2.**-40
])
def test_rounded_thresholds_decide_as_exact_ones(threshold, flip):
    x = around(threshold)
    truth = [(exact(v) < exact(threshold)) if flip else
             (exact(v) > exact(threshold)) for v in x]
    assert signs(x, threshold, flip) == [2 * t - 1 for t in truth]


@pytest.mark.parametrize('flip', [0, 1])
def test_a_float32_number_with_float64_noise_is_that_number(flip):
    for number in np.float32([0.1, -0.3, 1e-30, 12345.678]):
        for noise in (1 - 2.**-53, 1 + 2.**-52):
            t = np.array([float(number) * noise])
            assert round_threshold(t, np.array([flip])) == number


def test_infinite_thresholds_stay():
    t, flip = np.array([INF, -INF, INF, -INF]), np.array([0, 0, 1, 1])
    assert (round_threshold(t, flip) == t).all()


@pytest.mark.parametrize('flip', [0, 1])
def test_affine_then_sign(flip):
    """``sign(scale x + shift)`` at and next to its threshold."""
    rng = np.random.default_rng(0)
    for case in range(300):
        scale, shift, t = rng.normal(0, 10.**rng.integers(-3, 4, 3))
        if case % 3 == 0:  # thresholds that are float32 numbers
            scale = 2.**rng.integers(-4, 5)
            shift, t = rng.integers(-64, 65, 2) / 64
        scale *= -1 if case % 2 else 1
        if case % 10 == 0:
            scale = 0.
        moved, turned = affine_then_sign(
            *(np.array([v]) for v in (scale, shift, t)),
            np.array([flip], np.uint8))
        center = 0. if scale == 0 else (t - shift) / scale
        x = around(center)
        values = [exact(scale) * exact(v) + exact(shift) for v in x]
        truth = [v < exact(t) if flip else v > exact(t) for v in values]
        assert signs(x, moved[0],
                     turned[0]) == [2 * bool(v) - 1 for v in truth], case


@pytest.mark.parametrize('scale,shift,t,flip,sign', [
    (0., 1., 1., 0, -1),
    (0., 1., 1., 1, -1),
    (0., 2., 1., 0, 1),
    (0., 2., 1., 1, -1),
    (0., 0., 1., 0, -1),
    (0., 0., 1., 1, 1),
    (-0., 0., 0., 0, -1),
    (2., 0., -INF, 0, 1),
    (2., 0., INF, 0, -1),
    (-2., 0., -INF, 0, 1),
    (-2., 0., INF, 0, -1),
    (-2., 0., -INF, 1, -1),
    (0., 0., -INF, 0, 1),
    (0., 0., INF, 0, -1),
])
def test_constant_signs(scale, shift, t, flip, sign):
    """A scale of 0 has no threshold, and an infinite one has no scale."""
    moved, turned = affine_then_sign(
        *(np.array([v]) for v in (scale, shift, t)), np.array([flip],
                                                              np.uint8))
    assert set(signs([-3e38, -1, 0, 1, 3e38], moved[0], turned[0])) == {sign}


@pytest.mark.parametrize('flip', [0, 1])
@pytest.mark.parametrize('low,high', [(-1., 1.), (0., 6.), (0.5, 0.5),
                                      (0., ops.Clamp.high)])
def test_clamp_then_sign(low, high, flip):
    x = np.float32([-3e38, -1, -0.5, 0, 1e-40, 0.5, 0.6, 1, 6, 7, 3e38])
    for t in (-INF, -2., -1., -0.7, 0., 0.5, 0.6, 1., 6., 8., 3.5e38, INF):
        moved, turned = clamp_then_sign(low, high, np.array([t]),
                                        np.array([flip], np.uint8))
        clamped = np.clip(x, np.float32(low), np.float32(high))
        assert signs(x, moved[0], turned[0]) == signs(clamped, t, flip), t
