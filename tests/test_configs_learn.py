"""The Fashion-MNIST configs learn, each with its stages and its teacher."""
import json
from pathlib import Path
from statistics import mean

import pytest
import torch
from mmengine.runner import Runner

from mmreact.engine.packing import load_model
from mmreact.engine.stages import Options, make_plan, train_plan

ROOT = Path(__file__).resolve().parents[1]
#: Those that no other one starts from.
LAST = {
    path.stem: path
    for path in sorted((ROOT / 'configs').rglob('*_fashion-mnist.py'))
    if '-stage' not in path.stem
}
SHORT = {
    'train_cfg.max_epochs': 10,
    'train_dataloader.batch_size': 32,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'param_scheduler.end': 10,
    'default_hooks.logger.interval': 1,
    'log_level': 'WARNING',
}


def least_loss(run):
    """Of the distributional loss: the teacher's entropy on the images."""
    if run.cfg.model.head.type != 'DistributionalLossHead':
        return 0
    teacher = load_model(run.teacher.cfg, run.teacher.final_checkpoint)
    entropies = []
    for batch in Runner.build_dataloader(run.cfg.train_dataloader, seed=0):
        scores = torch.stack([s.pred_score for s in teacher.test_step(batch)])
        entropies.append(torch.special.entr(scores).sum(1))
    return torch.cat(entropies).mean().item()


@pytest.mark.slow
@pytest.mark.parametrize('name', LAST)
def test_small_configs_learn(name, tiny_data, tmp_path):
    """All stages and teachers: 80 iterations take a fifth off the loss."""
    options = Options.from_flags(
        cfg_options=SHORT, seed=0, data_root=str(tiny_data))
    plan = make_plan(LAST[name], tmp_path, options)
    train_plan(plan)
    for run in plan:
        log, = run.work_dir.glob('*/vis_data/scalars.json')
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        losses = [row['loss'] for row in rows if 'loss' in row]
        assert len(losses) == 80
        least = least_loss(run)
        first, last = (
            mean(part) - least for part in (losses[:8], losses[-8:]))
        assert 0 < last < 0.8 * first, run.name
        top1 = [row['accuracy/top1'] for row in rows if 'accuracy/top1' in row]
        assert top1[-1] > 30  # of ten classes
