"""What an iteration that BinaryStatsHook logs costs.

    python -m benchmarks.stats_hook CONFIG --batch 128 --size 32 --runs 30

Training iterations of the config's backbone (forward, a loss, backward, Adam)
with and without the hook take turns, on one thread; CPU time.
"""
import argparse
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import mmreact.models  # noqa: F401, registers
from mmreact.engine import BinaryStatsHook


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--runs', type=int, default=10)
    return parser.parse_args()


def main():
    args = parse_args()
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    cfg = Config.fromfile(args.config).model.backbone
    model = MODELS.build(cfg).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x = torch.randn(args.batch, cfg.get('in_channels', 3), args.size,
                    args.size)
    folder = tempfile.TemporaryDirectory()
    runner = SimpleNamespace(
        model=model,
        cfg=Config(),
        iter=0,
        log_dir=folder.name,
        visualizer=SimpleNamespace(_vis_backends={}))
    hooks = dict(plain=BinaryStatsHook(0), logged=BinaryStatsHook(1))
    times = dict(plain=[], logged=[])
    for hook in hooks.values():
        hook.before_train(runner)
    for runner.iter in range(args.runs + 1):
        for name, hook in hooks.items():
            start = time.process_time()
            hook.before_train_iter(runner, 0)
            model(x)[-1].square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            hook.after_train_iter(runner, 0)
            times[name].append(time.process_time() - start)
    best, middle = (
        {
            name: function(values[1:])  # the first warms up
            for name, values in times.items()
        } for function in (min, statistics.median))
    print(f'plain: minimum {best["plain"]:.3f} s, median '
          f'{middle["plain"]:.3f} s; logged / plain: minima '
          f'{best["logged"] / best["plain"]:.2f}, medians '
          f'{middle["logged"] / middle["plain"]:.2f}')
    line = (Path(folder.name) /
            'vis_data/binary_stats.json').read_text().splitlines()[-1]
    print(f'{len(line):,} bytes a log')


if __name__ == '__main__':
    main()
