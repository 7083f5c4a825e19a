"""Train, test and pack a small ReActNet on real images, in a few minutes.

It runs the same commands as a user would, shows them, and ends with a table.
Relative paths are those of the repository.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/reactnet/reactnet-small_1xb128_fashion-mnist.py'
QUICK = [
    'train_cfg.max_epochs=1', 'param_scheduler.end=1',
    'train_dataloader.dataset.indices=1280'
]
# What of a training's output is progress; the rest is in its log file.
PROGRESS = re.compile(r'^\[\d+/\d+\]|Epoch\(')
# What of a verification is its result.
VERIFIED = re.compile(r'predictions are equal|NOT DECIDED|VERIFIED|^Verified')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/demo'),
        help='where everything goes (default: work_dirs/demo)')
    parser.add_argument(
        '--data-root',
        type=Path,
        default=Path('data/fashion_mnist'),
        help='where Fashion-MNIST is, or is put (default: '
        'data/fashion_mnist)')
    parser.add_argument(
        '--quick',
        action='store_true',
        help='a few iterations only, to see that everything works')
    return parser.parse_args()


def run(tool: str, *args, show=lambda line: False) -> str:
    """Run a tool of this folder; return its standard output.

    Lines that ``show`` accepts are printed as they come. If the tool fails,
    its last lines are printed and the demo ends.
    """
    words = [f'tools/{tool}', *map(str, args)]
    print('$ python ' + ' '.join(words), flush=True)
    command = [sys.executable, '-u', str(ROOT / words[0]), *words[1:]]
    # One core computes while others load images: for so small a network
    # faster than threads that wait for each other.
    env = {'OMP_NUM_THREADS': '1', **os.environ}
    out = []
    with subprocess.Popen(
            command,
            text=True,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as process:
        for line in process.stdout:
            out.append(line)
            if show(line):
                print(line.rstrip(), flush=True)
    if process.returncode:
        print(''.join(out[-40:]), file=sys.stderr)
        sys.exit(f'{words[0]} failed; its last lines are above.')
    return ''.join(out)


def run_json(tool: str, *args) -> dict:
    """Run a tool that prints a line of JSON."""
    lines = run(tool, *args, '--json').splitlines()
    return json.loads([line for line in lines if line.startswith('{')][-1])


def count(config: Path) -> dict:
    """Count the network of a config as tools/analysis_tools/get_ops.py does.
    """
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import MODELS

    import mmreact.models  # noqa: F401, registers
    from mmreact.analysis import count_ops
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(config).model)
    return count_ops(model, (1, 32, 32)).totals()


def read_scalars(work_dir: Path) -> list:
    """The rows that a training has logged, oldest first."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    return [
        json.loads(line) for path in files
        for line in path.read_text().splitlines()
    ]


def plot_curves(runs: dict, path: Path) -> None:
    """Draw loss and top-1 of all runs over their iterations."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for name, work_dir in runs.items():
        rows = read_scalars(work_dir)
        train = [row for row in rows if 'loss' in row]
        left.plot([row['iter'] for row in train],
                  [row['loss'] for row in train],
                  label=name)
        val = [row for row in rows if 'accuracy/top1' in row]
        right.plot([row['step'] for row in val],
                   [row['accuracy/top1'] for row in val],
                   marker='o',
                   label=name)
    left.set(xlabel='iteration', ylabel='training loss')
    right.set(xlabel='epoch', ylabel='top-1 on the test images, %')
    right.xaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def seconds(work_dir: Path, checkpoint: Path) -> float:
    """From the start of a training to its last checkpoint."""
    start = (work_dir / 'fingerprint.json').stat().st_mtime
    return checkpoint.stat().st_mtime - start


def images_a_second(networks: dict, images, rounds: int = 5) -> dict:
    """Median speed of functions of one image, which take turns."""
    speeds = {name: [] for name in networks}
    for i in range(rounds + 1):
        for name, network in networks.items():
            start = time.perf_counter()
            for image in images:
                network(image)
            speeds[name].append(len(images) / (time.perf_counter() - start))
    # The first round is for warming up.
    return {name: statistics.median(v[1:]) for name, v in speeds.items()}


def pack(config: Path, checkpoint: Path, file: Path, number: int,
         options: list) -> dict:
    """Pack and verify a network, and test the file on all images."""
    run('deployment/pack.py',
        config,
        checkpoint,
        '-o',
        file,
        '--verify',
        number,
        *options,
        show=lambda line: bool(VERIFIED.search(line)))
    return run_json('test.py', config, file, '--threads', 1, '--work-dir',
                    file.parent / 'test', *options)


def compare(config: Path, checkpoint: Path, file: Path, number: int,
            data_root: Path) -> list:
    """Name, bytes and images a second of the float and the packed network."""
    import torch
    from mmengine.config import Config

    import mmreact.engine  # noqa: F401, registers
    from mmreact.engine.packing import batches, load_model
    from mmreact.packed import PackedModel
    torch.set_num_threads(1)
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.data_root = str(data_root)
    model, packed = load_model(cfg, checkpoint), PackedModel(file, threads=1)

    def run_float(image):
        with torch.inference_mode():
            return model(torch.from_numpy(image))

    images = list(batches(cfg, model, number, batch_size=1))
    speeds = images_a_second(dict(float=run_float, packed=packed), images)
    state = model.state_dict().values()
    return [('PyTorch', sum(v.numel() * v.element_size()
                            for v in state), speeds['float']),
            (f'packed, {packed.backend.name}', file.stat().st_size,
             speeds['packed'])]


def main():
    args = parse_args()
    os.chdir(ROOT)
    quick = QUICK if args.quick else []
    run('dataset_converters/prepare_fashion_mnist.py',
        '--root',
        args.data_root,
        show=lambda line: True)
    options = ['--data-root', args.data_root]
    train = [CONFIG, '--work-dir', args.work_dir, '--seed', 0, *options]
    if quick:
        train += ['--cfg-options', *quick]
    # Continues what an earlier call has left unfinished.
    run('train.py',
        *train,
        '--resume',
        show=lambda line: bool(PROGRESS.search(line)))

    from mmreact.engine.stages import make_plan
    rows, runs = [], {}
    for name, planned in zip(('teacher', 'stage 1', 'stage 2'),
                             make_plan(CONFIG, args.work_dir)):
        config = planned.work_dir / f'{planned.name}.py'
        checkpoint = planned.last_checkpoint()
        metrics = run_json('test.py', config, checkpoint, '--work-dir',
                           planned.work_dir / 'test', *options)
        ops = count(config)
        runs[name] = planned.work_dir
        rows.append([
            name, f'{metrics["accuracy/top1"]:.2f}',
            f'{metrics["accuracy/top5"]:.2f}',
            *(f'{ops[key]:,}'
              for key in ('bops', 'flops', 'ops', 'params', 'one_bit_params')),
            f'{seconds(planned.work_dir, checkpoint):.0f}'
        ])
    file = args.work_dir / 'packed.safetensors'
    # What the loop leaves is stage 2, the 1-bit network.
    packed = pack(config, checkpoint, file, 32 if quick else 512, options)
    compared = compare(config, checkpoint, file, 8 if quick else 100,
                       args.data_root)
    curves = args.work_dir / 'curves.png'
    plot_curves(runs, curves)

    head = [
        '', 'top-1 %', 'top-5 %', 'BOPs', 'FLOPs', 'OPs', 'parameters',
        '1-bit', 'seconds'
    ]
    print('\nFashion-MNIST, 10,000 test images' +
          (' (a quick run, not a result)' if quick else ''))
    for row in [head, *rows]:
        print(f'{row[0]:<9}' + ''.join(f'{cell:>13}' for cell in row[1:]))
    print('OPs = BOPs / 64 + FLOPs, for one image; the 1-bit parameters are '
          'among the parameters.')
    print(f'\n{"stage 2":<20}{"bytes":>13}{"top-1 %":>13}{"images/s":>13}')
    for (name, size, speed), tested in zip(compared, (metrics, packed)):
        print(f'{name:<20}{size:>13,}{tested["accuracy/top1"]:>13.2f}'
              f'{speed:>13.0f}')
    print('Images one at a time on one thread, median of five turns each.')
    if 'reference' in compared[1][0]:
        print('The reference backend is there to be believed, not to be fast.')
    print(f'packed   {file}')
    for name, work_dir in runs.items():
        print(f'{name:<9}checkpoints and logs: {work_dir}')
    print(f'curves   {curves}')


if __name__ == '__main__':
    sys.exit(main())
