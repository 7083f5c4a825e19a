"""tools/test.py as a user runs it."""
import json
import pickle

import pytest
import torch


@pytest.fixture(scope='module')
def config(tiny_configs):
    return tiny_configs / 'stage2.py'


def test_json_is_one_line(run_tool, config, trained, tmp_path):
    result = run_tool('test.py', config, trained / 'epoch_2.pth', '--json',
                      '--work-dir', tmp_path)
    metrics = json.loads(result.stdout)
    assert 0 <= metrics['accuracy/top1'] <= metrics['accuracy/top5'] <= 100
    assert metrics['checkpoint'] == str(trained / 'epoch_2.pth')
    assert 'accuracy/top1: ' in result.stderr


def test_predictions_are_saved_and_give_the_accuracy(run_tool, config, trained,
                                                     tmp_path):
    """Top-1 and top-5 are recomputed here from what --out holds."""
    out = tmp_path / 'predictions.pkl'
    result = run_tool('test.py', config, trained / 'epoch_2.pth', '--out', out,
                      '--json', '--work-dir', tmp_path)
    metrics = json.loads(result.stdout)
    samples = pickle.loads(out.read_bytes())
    assert len(samples) == 100
    scores = torch.stack([sample['pred_score'] for sample in samples])
    labels = torch.cat([sample['gt_label'] for sample in samples])
    top5 = scores.topk(5).indices == labels[:, None]
    assert metrics['accuracy/top1'] == pytest.approx(
        100 * top5[:, 0].float().mean().item(), abs=1e-3)
    assert metrics['accuracy/top5'] == pytest.approx(
        100 * top5.any(1).float().mean().item(), abs=1e-3)


def test_the_teacher_is_not_needed(run_tool, config, trained, tmp_path):
    text = config.read_text().replace("config='teacher.py'",
                                      "config='gone.py'")
    other = config.with_name('no_teacher.py')
    other.write_text(text)
    run_tool('test.py', other, trained / 'epoch_2.pth', '--work-dir', tmp_path)


def test_another_architecture_is_refused(run_tool, config, trained, tmp_path):
    result = run_tool(
        'test.py',
        config,
        trained / 'teacher' / 'epoch_2.pth',
        '--work-dir',
        tmp_path,
        check=False)
    assert result.returncode != 0
    for line in ('missing: backbone.stem.0.weight (16, 1, 3, 3)',
                 'unexpected: backbone.conv1.weight',
                 'shape: head.fc.weight is (10, 128), the model has (10, 64)'):
        assert line in result.stderr


def test_a_truncated_checkpoint_is_named(run_tool, config, trained, tmp_path):
    whole = (trained / 'epoch_2.pth').read_bytes()
    path = tmp_path / 'cut.pth'
    path.write_bytes(whole[:len(whole) // 2])
    result = run_tool(
        'test.py', config, path, '--work-dir', tmp_path, check=False)
    assert result.returncode != 0
    assert f'{path} ({len(whole) // 2} bytes) is truncated' in result.stderr
