"""Signs in words, by hand."""
import numpy as np
import pytest

from mmreact.packed.bits import pack, unpack

CHANNELS = [1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 130]


@pytest.mark.parametrize('channels', CHANNELS)
@pytest.mark.parametrize('shape', [(), (1, ), (3, 2, 2)])
def test_every_bit(shape, channels):
    rng = np.random.default_rng(channels)
    signs = rng.choice([-1, 1], (*shape, channels)).astype(np.int8)
    words = pack(signs)
    assert words.dtype == np.uint64
    assert words.shape == (*shape, -(-channels // 64))
    for index in np.ndindex(shape):
        for w, word in enumerate(words[index].tolist()):
            row = signs[index][64 * w:64 * w + 64].tolist()
            assert word == sum(1 << i for i, sign in enumerate(row)
                               if sign > 0)
    assert np.array_equal(unpack(words, channels), signs)
    assert unpack(words, channels).dtype == np.int8


@pytest.mark.parametrize('dtype', [np.float32, np.float64, np.int8])
def test_zero_is_minus(dtype):
    """As sign(0) = -1."""
    words = pack(np.array([0, 1, -1, 2, -0.], dtype))
    assert words.tolist() == [0b01010]


def test_strided_arrays():
    signs = np.random.default_rng(0).choice([-1, 1], (6, 70, 4))
    turned = signs.transpose(0, 2, 1)[::2]
    words = pack(turned)
    assert np.array_equal(words, pack(turned.copy()))
    assert np.array_equal(unpack(words[:, ::2], 70), turned[:, ::2])
