"""What training takes on a GPU; benchmarks/gpu.sh runs it on a bare machine.

Each case is a process of its own. They run in the order of what one wants to
know first, until the time is up; what is not reached is named in the results.
"""
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, Optional

import torch

from .harness import (ROOT, document, finish, load_average, parser, positive,
                      say)

A, R18 = 'reactnet-a', 'react-resnet18'
#: Network, stage, batch, mode: first what is compared, then the rest.
CASES = [
    (A, 2, 256, 'fp32'),
    (A, 2, 256, 'naive'),
    (A, 2, 256, 'bf16+channels_last'),
    (A, 2, 256, 'compiled+bf16+channels_last'),
    (A, 2, 256, 'compiled'),
    (A, 1, 256, 'fp32'),
    (A, 2, 256, 'with_cp'),
    (A, 2, 256, 'bf16'),
    (A, 2, 256, 'channels_last'),
    (R18, 2, 256, 'fp32'),
    (R18, 2, 256, 'naive'),
    (R18, 2, 256, 'compiled+bf16+channels_last'),
    (R18, 1, 256, 'fp32'),
    *[(A, 2, batch, mode) for batch in (64, 128, 512)
      for mode in ('fp32', 'bf16+channels_last')],
    *[(R18, 2, batch, 'bf16+channels_last') for batch in (64, 512)],
]
TRAIN = 'reactnet/reactnet-small_1xb128_fashion-mnist.py'
#: Names of the results of :func:`trainings`.
RESUME, ACCURACY = 'bit-equal resume', 'Fashion-MNIST'


def run_case(case: tuple, rounds: int, size: int, seconds: float) -> dict:
    """Measure a case in a fresh process; errors and time-outs are results."""
    network, stage, batch, mode = case
    found = dict(network=network, stage=stage, batch=batch, mode=mode)
    if seconds < 5:
        return dict(found, error='no time left')
    try:
        done = run_tool(seconds, '-m', 'benchmarks.gpu_step', network,
                        '--stage', stage, '--batch', batch, '--mode', mode,
                        '--rounds', rounds, '--size', size)
    except subprocess.TimeoutExpired:
        return dict(found, error=f'not done within {seconds:.0f} s')
    if done.returncode:
        return dict(found, error=done.stderr.strip().split('\n')[-1])
    return dict(found, **json.loads(done.stdout))


def run_tool(seconds: float, *words) -> subprocess.CompletedProcess:
    """Run Python with some arguments in the root of the repository."""
    return subprocess.run([sys.executable, *map(str, words)],
                          cwd=ROOT,
                          capture_output=True,
                          text=True,
                          timeout=max(1., seconds))


def train(seconds: float, work_dir: Path, *words) -> None:
    """Run tools/train.py on the small network.

    Raises:
        RuntimeError: If it fails.
    """
    done = run_tool(seconds, 'tools/train.py', f'configs/{TRAIN}',
                    '--work-dir', work_dir, '--seed', 0, *words)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().split('\n')[-1])


def check_resume(folder: Path, seconds: float, options: List[str]) -> dict:
    """Train, then train the last epoch again as if it had been lost.

    Compares every tensor of the two last checkpoints.
    """
    from mmreact.utils.checkpoint import load_checkpoint
    train(seconds, folder, '--deterministic', *options)
    last = sorted(folder.glob('epoch_*.pth'))[-1]
    before = load_checkpoint(last)['state_dict']
    last.unlink()
    train(seconds, folder, '--deterministic', '--resume', *options)
    after = load_checkpoint(last)['state_dict']
    different = [
        key for key, value in before.items()
        if not torch.equal(value, after[key])
    ]
    return dict(tensors=len(before), different=different)


def accuracy(folder: Path, seconds: float, options: List[str]) -> dict:
    """Top-1 and seconds of teacher, stage 1 and stage 2."""
    train(seconds, folder, *options)
    found = {}
    for path in sorted(folder.glob('**/progress.json')):
        progress = json.loads(path.read_text())
        name = path.parent.name if path.parent != folder else 'stage 2'
        found[name] = dict(
            top1=progress.get('last'), seconds=progress.get('seconds'))
    return found


def trainings(end: float, data: Optional[Path],
              options: List[str]) -> Iterator[dict]:
    """Run the trainings for which there is time."""
    if data is not None:
        options = ['--data-root', str(data), *options]
    for name, run in ((RESUME, check_resume), (ACCURACY, accuracy)):
        left = end - time.monotonic()
        if data is None or left < 10:
            reason = 'there is no data' if data is None else 'no time left'
            yield dict(training=name, error=reason)
            continue
        say(name)
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield dict(training=name, **run(Path(folder), left, options))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                yield dict(training=name, error=str(error))


def gpu() -> Dict[str, object]:
    """What it runs on."""
    if not torch.cuda.is_available():
        return dict(name=None)
    properties = torch.cuda.get_device_properties(0)
    return dict(
        name=properties.name,
        memory=properties.total_memory,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        tf32_convolutions=torch.backends.cudnn.allow_tf32)


def main(argv=None, cases=CASES):
    argv = sys.argv[1:] if argv is None else argv
    args = parser(__doc__.splitlines()[0], rounds=10)
    args.add_argument(
        '--minutes', type=float, default=8., help='all of it (default: 8)')
    args.add_argument('--batch', type=positive, help='this batch in all cases')
    args.add_argument(
        '--data', type=Path, help='folder of Fashion-MNIST, for trainings')
    args.add_argument(
        '--train-options',
        nargs='+',
        default=[],
        help='--cfg-options of the trainings')
    args = args.parse_args(argv)
    before, start = load_average(), time.monotonic()
    end = start + 60 * args.minutes
    options = ['--cfg-options', *args.train_options
               ] if args.train_options else []
    results = list(trainings(start + 20 * args.minutes, args.data, options))

    def found():
        return document(
            'benchmarks.gpu',
            argv,
            before,
            gpu=gpu(),
            size=args.size,
            results=results)

    for case in cases:
        results.append(
            run_case((*case[:2], args.batch or case[2], case[3]), args.rounds,
                     args.size, end - time.monotonic()))
        say(f'[{time.monotonic() - start:.0f} s] {json.dumps(results[-1])}')
        if args.json:  # what is known is kept if the next case takes all
            finish(found(), args.json)
    if not args.json:
        finish(found())


if __name__ == '__main__':
    sys.exit(main())
