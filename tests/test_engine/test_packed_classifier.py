"""A packed file in the place of a classifier."""
import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mmreact.engine.packed_classifier import PackedClassifier
from mmreact.packed import PackedFile, Program, ops, save_packed
from mmreact.packed.model import NotFiniteError


@pytest.fixture
def classifier(tmp_path):
    """The logits are those pixels times 2."""
    program = Program((4, 1, 1), [
        ops.Flatten('flat', ('input', )),
        ops.Affine('double', ('flat', ), np.full(4, 2, np.float32),
                   np.zeros(4, np.float32)),
    ], 'double')
    save_packed(tmp_path / 'net', PackedFile(program))
    return PackedClassifier(str(tmp_path / 'net'), 'reference')


@pytest.mark.filterwarnings('ignore:overflow encountered')
@pytest.mark.parametrize('value', [np.nan, np.inf, 3e38])
def test_logits_that_are_not_finite(classifier, value):
    """No class is given to an image without one; it is named."""
    x = torch.zeros(3, 4, 1, 1)
    x[1, 2] = 5
    samples = [DataSample(metainfo=dict(img_path=f'{i}.png')) for i in 'abc']
    results = classifier(x, samples, 'predict')
    assert [int(r.pred_label) for r in results] == [0, 2, 0]
    x[2, 3] = value
    with pytest.raises(NotFiniteError, match=r'(?i)image 2 .*It is c\.png'):
        classifier(x, samples, 'predict')
    with pytest.raises(NotFiniteError, match='(?i)image 2 .*(NaN|float32)'):
        classifier(x, mode='predict')
    with pytest.raises(NotFiniteError, match='(?i)image 2 '):
        classifier(x, [DataSample()] * 3, 'predict')
