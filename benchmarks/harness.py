"""What the benchmarks share: arguments, a busy neighbour, the JSON files."""
import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from datetime import date
from pathlib import Path
from typing import Callable, Dict, List, Mapping

from mmreact.packed import benchmark

ROOT = Path(__file__).resolve().parents[1]

PACKAGES = ('mmreact', 'numpy', 'openvino', 'nncf', 'onnx', 'onnxruntime',
            'torch', 'torchvision', 'mmcv-lite', 'opencv-python', 'pillow',
            'PyTurboJPEG')
#: Rounds that are timed between two lines of progress.
CHUNK = 5


def positive(text: str) -> int:
    """A type of arguments."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return int(text)


def parser(description: str,
           rounds: int,
           sized: bool = True) -> argparse.ArgumentParser:
    """With the arguments that all benchmarks take, or all but ``--size``."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument('--json', type=Path, metavar='FILE', help='write to it')
    made.add_argument(
        '--rounds',
        type=positive,
        default=rounds,
        help=f'turns of each contender (default: {rounds})')
    if sized:
        made.add_argument(
            '--size',
            type=positive,
            default=224,
            help='height and width of the images (default: 224)')
    return made


def add_skip_missing(args: argparse.ArgumentParser) -> None:
    args.add_argument(
        '--skip-missing',
        action='store_true',
        help='leave out, and name, contenders whose package is missing')


def missing(error: ImportError) -> str:
    """What a user can do about it."""
    return (f'Error: {error}. pip install -r requirements/benchmarks.txt, or '
            'go on without it: --skip-missing')


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def measure(
        runs: Mapping[str, Callable[[], object]],
        rounds: int,
        clock: Callable[[],
                        float] = time.perf_counter) -> Dict[str, List[float]]:
    """As :func:`mmreact.packed.benchmark.measure`, and say how far it is."""
    seconds: Dict[str, List[float]] = {name: [] for name in runs}
    for done in range(0, rounds, CHUNK):
        number = min(CHUNK, rounds - done)
        for name, more in benchmark.measure(runs, number, clock).items():
            seconds[name] += more
        say(f'  round {done + number} of {rounds}')
    return seconds


def run_fresh(module: str, *args, **environment: str) -> dict:
    """Run a module of benchmarks in a fresh process; the JSON it prints.

    Raises:
        RuntimeError: If it fails. The message has the end of its stderr.
    """
    done = subprocess.run(
        [sys.executable, '-m', f'benchmarks.{module}', *map(str, args)],
        cwd=ROOT,
        env=dict(os.environ, **environment),
        capture_output=True,
        text=True)
    if done.returncode:
        raise RuntimeError(f'benchmarks.{module} {shlex.join(map(str, args))} '
                           f'fails: {done.stderr[-2000:]}')
    return json.loads(done.stdout)


@contextmanager
def _busy_neighbour():
    process = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def neighbour(busy: bool):
    """A context with another process that always computes, on one core."""
    return _busy_neighbour() if busy else nullcontext()


def document(module: str, argv: List[str], load_before: float,
             **results) -> dict:
    """Results, and how they came about; but where they are written to."""
    argv = list(argv)
    if '--json' in argv:
        at = argv.index('--json')
        del argv[at:at + 2]
    return dict(
        command=f'python -m {module} {shlex.join(argv)}'.strip(),
        date=date.today().isoformat(),
        machine=benchmark.machine(PACKAGES),
        load_average=[round(load_before, 2),
                      round(load_average(), 2)],
        **results)


def load_average() -> float:
    """Processes that ran or wanted to, on average over the last minute."""
    return os.getloadavg()[0]


def finish(found: dict, path: Path = None) -> None:
    """Write the results, or print them."""
    text = json.dumps(rounded(found), indent=1) + '\n'
    if path is None:
        print(text, end='')
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        say(f'wrote {path}')


def rounded(value):
    """Numbers with five significant digits, which is more than they hold."""
    if isinstance(value, float):
        return float(f'{value:.5g}')
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return value
