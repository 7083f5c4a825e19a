"""What the native engine is meant to reach, and what was measured."""
from dataclasses import dataclass
from typing import Callable, Dict, List, Sequence, Tuple

NATIVE = 'ReActNet-A', 'native'
KEYS = ('min_ms', 'median_ms')
#: Name of a results file -> its contents.
Results = Dict[str, dict]
Pair = Tuple[float, float]


@dataclass(frozen=True)
class Target:
    """A bound for a ratio, or for a number.

    Args:
        text (str): What is compared.
        limit (str): As it is printed.
        bound (float): The same.
        measured (Callable): From the results to the figure of the minima and
            that of the medians. KeyError: not measured.
        at_least (bool): Whether it is a lower bound.
        form (str): How to print figures.
    """
    text: str
    limit: str
    bound: float
    measured: Callable[[Results], Pair]
    at_least: bool = False
    form: str = '.2f'

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


def find(results: Results, file: str, network: str, engine: str,
         threads: int) -> dict:
    """The row of a contender.

    Raises:
        KeyError: If it was not measured.
    """
    for row in results[file]['results']:
        if (row['network'], row['engine'], row['threads']) == (network, engine,
                                                               threads):
            return row
    raise KeyError(f'{network}/{engine} on {threads} threads is not in {file}')


def ratio(contender, *rivals, file='networks_1', threads=1):
    """Time of a contender by that of the fastest rival."""

    def measured(results: Results) -> Pair:
        ours = find(results, file, *contender, threads)
        theirs = [find(results, file, *rival, threads) for rival in rivals]
        return tuple(ours[key] / min(row[key] for row in theirs)
                     for key in KEYS)

    return measured


def speed_up(contender, threads: int):
    """Time on one thread by that on some, in turns in one process."""

    def measured(results: Results) -> Pair:
        one = find(results, 'scaling', *contender, 1)
        more = find(results, 'scaling', *contender, threads)
        return tuple(one[key] / more[key] for key in KEYS)

    return measured


def process(name: str, key: str):
    """A figure of fresh processes with the native engine."""

    def measured(results: Results) -> Pair:
        rows = {row['name']: row for row in results['processes']['results']}
        return rows[name]['min'][key], rows[name]['median'][key]

    return measured


def engines(network: str, *names: str):
    return [(network, name) for name in names]


INT8_OPENVINO = ('openvino-int8', 'openvino-int8-qdq')
TARGETS: List[Target] = [
    Target('ReActNet-A, native : the same in OpenVINO, 1-bit', '≤ 0.60', 0.60,
           ratio(NATIVE, ('ReActNet-A', 'openvino-binary'))),
    Target(
        'ReActNet-A, native : the same in ONNX Runtime, fp32',
        '≤ 1/22 = 0.045',
        1 / 22,
        ratio(NATIVE, ('ReActNet-A', 'onnxruntime-fp32')),
        form='.3f'),
    Target('ReActNet-A, native : MobileNetV1 1.0 in OpenVINO, int8', '≤ 1.3',
           1.3, ratio(NATIVE, *engines('MobileNetV1 1.0', *INT8_OPENVINO))),
    Target(
        'ReActNet-A, native : MobileNetV1 1.0, fp32, the faster of ONNX '
        'Runtime and OpenVINO', '≤ 0.45', 0.45,
        ratio(NATIVE,
              *engines('MobileNetV1 1.0', 'onnxruntime-fp32',
                       'openvino-fp32'))),
    Target(
        'ReActNet-A, native: two threads, so many times as fast as one',
        '≥ 1.85',
        1.85,
        speed_up(NATIVE, 2),
        at_least=True),
    Target(
        'ReActNet-A, native, AVX2 forced : the same in OpenVINO, fp32',
        '≤ 1/8 = 0.125',
        1 / 8,
        ratio(('ReActNet-A', 'native:avx2'), ('ReActNet-A', 'openvino-fp32')),
        form='.3f'),
    *(Target(f'{network}, native : ResNet-18 in OpenVINO, int8', '≤ 0.6', 0.6,
             ratio((network, 'native'), *engines('ResNet-18', *INT8_OPENVINO)))
      for network in ('ReAct-ResNet-18', 'Bi-Real-18')),
    Target(
        'ReActNet-A, native: loading the file, ms',
        '≤ 50',
        50,
        process('ReActNet-A, real parts in fp32', 'load_ms'),
        form='.0f'),
    Target(
        'ReActNet-A, native: resident memory of a process, MB',
        '≤ 80',
        80,
        process('ReActNet-A, real parts in fp32', 'resident_mb'),
        form='.0f'),
]


def rows(results: Results,
         targets: Sequence[Target] = TARGETS) -> List[List[str]]:
    """For each target: what, limit, of the minima, of the medians, verdict."""
    found = []
    for target in targets:
        try:
            pair = target.measured(results)
        except KeyError:
            found.append([target.text, target.limit, '–', '–', 'not measured'])
            continue
        figures = [format(value, target.form) for value in pair]
        found.append(
            [target.text, target.limit, *figures,
             verdict(target, *pair)])
    return found


def verdict(target: Target, minimum: float, median: float) -> str:
    held = target.holds(minimum), target.holds(median)
    return {
        (True, True): 'yes',
        (True, False): 'minimum only',
        (False, True): 'median only',
        (False, False): '**no**'
    }[held]
