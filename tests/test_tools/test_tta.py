"""tools/test.py --tta as a user runs it, and what it averages."""
import json
import pickle

import pytest
import torch
from mmengine.config import Config

from mmreact.engine.testing import use_tta


@pytest.mark.slow
def test_the_average_of_each_image_and_its_mirror_image(
        run_tool, tiny_configs, trained, tmp_path):
    """Recomputed from the scores of both, as --out saves them."""
    scores = {}
    flip = "{'type': 'RandomFlip', 'prob': 1.0}"
    pad = "{'type': 'RandomCrop', 'crop_size': 32, 'padding': 2}"
    key = 'test_dataloader.dataset.pipeline'
    for name, extra in (('plain', []), ('flipped', [
            '--cfg-options', f"{key}=[{pad}, {flip}, {{'type': 'PackInputs'}}]"
    ]), ('tta', ['--tta'])):
        out = tmp_path / f'{name}.pkl'
        result = run_tool('test.py', tiny_configs / 'stage2.py',
                          trained / 'epoch_2.pth', '--json', '--out', out,
                          '--work-dir', tmp_path, *extra)
        assert 'accuracy/top1' in json.loads(result.stdout)
        scores[name] = torch.stack(
            [row['pred_score'] for row in pickle.loads(out.read_bytes())])
    torch.testing.assert_close(scores['tta'],
                               (scores['plain'] + scores['flipped']) / 2)
    assert not torch.equal(scores['tta'], scores['plain'])


def test_of_the_config():
    pipeline = [dict(type='TestTimeAug', transforms=[])]
    cfg = Config(
        dict(
            model=dict(type='ImageClassifier'),
            tta_model=dict(type='MyTTA'),
            tta_pipeline=pipeline,
            test_dataloader=dict(dataset=dict(pipeline=[dict(type='X')]))))
    use_tta(cfg)
    assert cfg.model.to_dict() == dict(
        type='MyTTA', module=dict(type='ImageClassifier'))
    assert cfg.test_dataloader.dataset.pipeline == pipeline


def test_without_a_pipeline():
    cfg = Config(dict(model={}, test_dataloader=dict(dataset=dict(type='X'))))
    with pytest.raises(ValueError, match='--tta needs test_dataloader'):
        use_tta(cfg)
