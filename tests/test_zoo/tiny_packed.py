"""The smallest packed network: a convolution, a pool, a linear layer."""
import numpy as np

from mmreact.packed import (INPUT, PackedFile, Preprocessing, Program, Resize,
                            ops, save_packed)


def build_packed():
    """Input 3x9x9, 4 classes."""
    rng = np.random.default_rng(0)
    stem, fc = rng.normal(size=(5, 3, 3, 3)), rng.normal(size=(4, 5))
    program = Program((3, 9, 9), [
        ops.Conv2d('stem', (INPUT, ), stem.astype(np.float32),
                   np.zeros(5, np.float32)),
        ops.AdaptiveAvgPool2d('pool', ('stem', )),
        ops.Flatten('flat', ('pool', )),
        ops.Linear('fc',
                   ('flat', ), fc.astype(np.float32), np.ones(4, np.float32)),
    ], 'fc')
    preprocessing = Preprocessing(
        resize=Resize(mode='short', size=12),
        crop=(9, 9),
        mean=(120., ) * 3,
        std=(60., ) * 3)
    return PackedFile(program, preprocessing, tuple('abcd'), {})


def save(path):
    """Write it and return its bytes."""
    save_packed(path, build_packed())
    return path.read_bytes()
