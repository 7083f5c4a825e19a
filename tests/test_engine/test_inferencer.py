"""MMPretrain's inferencers on networks of one channel."""
import mmpretrain
import numpy as np
import pytest
import torch
from mmpretrain.apis import ImageClassificationInferencer
from PIL import Image

from mmreact.engine.packing import pack
from mmreact.packed import PackedModel
from mmreact.utils.config_files import read_config
from mmreact.zoo import get_model

NAME = 'reactnet-tiny_1xb128_fashion-mnist'


@pytest.fixture(scope='module')
def model():
    """With random weights, and the config that belongs to it."""
    return get_model(NAME)


@pytest.fixture(scope='module')
def packed(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('inferencer') / 'a.pth'
    torch.save(model.state_dict(), path)
    cfg = model._config
    return PackedModel(pack(cfg, path, model), 'reference')


def picture(height, width, mode='RGB'):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    return image.resize((width, height), Image.BICUBIC).convert(mode)


@pytest.mark.parametrize('size, mode', [((28, 28), 'L'), ((28, 28), 'RGB'),
                                        ((280, 200), 'RGB'), ((31, 90), 'L'),
                                        ((8, 8), 'RGB')])
@pytest.mark.parametrize('kind', ['path', 'array'])
def test_the_same_as_a_packed_file(model, packed, tmp_path, size, mode, kind):
    image = picture(*size, mode)
    image.save(tmp_path / 'a.png')
    given = str(tmp_path / 'a.png')
    if kind == 'array':  # BGR, as OpenCV reads
        given = np.asarray(image)
        given = given if mode == 'L' else given[:, :, ::-1]
    inferencer = ImageClassificationInferencer(model)
    batch, = inferencer.preprocess([given])
    x = model.data_preprocessor(batch)['inputs']
    np.testing.assert_array_equal(x.numpy(), packed.preprocessing(image))
    result, = inferencer(given)  # signs may flip: another order of sums
    own, = packed.predict(image, topk=10)
    scores = dict(zip(own.labels, own.scores))
    assert result['pred_score'] == pytest.approx(
        scores[result['pred_label']], abs=.05)


def test_several_and_by_name(model, tmp_path):
    for i, size in enumerate(((28, 28), (100, 50))):
        picture(*size).save(tmp_path / f'{i}.png')
    files = sorted(map(str, tmp_path.glob('*.png')))
    results = ImageClassificationInferencer(model)(files, batch_size=2)
    assert len(results) == 2 and results[0]['pred_class']
    by_name = ImageClassificationInferencer(NAME, pretrained=False)(files)
    assert [r['pred_scores'].shape for r in by_name] == [(10, ), (10, )]
    known = mmpretrain.get_model(NAME)  # with what inference_model asks for
    known.load_state_dict(model.state_dict())
    assert mmpretrain.inference_model(
        known, files[0])['pred_label'] == results[0]['pred_label']


def test_colour_is_left_to_mmpretrain():
    from mmpretrain.datasets import ResizeEdge
    inferencer = ImageClassificationInferencer(
        'react-resnet18_8xb64_in1k', pretrained=False)
    assert any(
        isinstance(t, ResizeEdge) for t in inferencer.pipeline.transforms)


def test_a_pipeline_that_is_not_known(model):
    cfg = read_config(model._config.filename)
    cfg.test_dataloader.dataset.pipeline.insert(0, dict(type='Invert'))
    changed = get_model(NAME)
    changed._config = cfg
    with pytest.raises(ValueError, match='one channel: .*Invert'):
        ImageClassificationInferencer(changed)
