"""The tables of docs/training.md about memory and time of a training step."""
from typing import Callable, Dict, List, Sequence

from .tables import table
from .targets import Pair, Results, Target, rows

MIB = 2**20
MEMORY = 'saved_bytes', 'peak_bytes'
TIMES = dict(
    train='a step', evaluate='evaluating {} images', evaluate_one='one image')
CONTENDERS = dict(naive='naive twin', ours='ours', with_cp='`with_cp`')


def pair(doc: dict, contender: str, key: str) -> Pair:
    """Bytes, or the minimum and the median of milliseconds.

    Raises:
        KeyError: If it was not measured.
    """
    row = {row['contender']: row for row in doc['results']}[contender]
    if key in MEMORY:
        return row[key], row[key]
    return row[key]['min_ms'], row[key]['median_ms']


def by_twin(file: str, key: str, speed_up: bool = False):
    """Ours by the twin's; for a speed-up the other way round."""

    def measured(results: Results) -> Pair:
        ours, twin = (
            pair(results[file], name, key) for name in ('ours', 'naive'))
        return tuple(b / a if speed_up else a / b for a, b in zip(ours, twin))

    return measured


def target(text: str, bound: float, key: str, file: str = 'training'):
    return Target(text, f'≤ {bound}', bound, by_twin(file, key), form='.3f')


TARGETS = [
    target('kept for backward', 0.25, 'saved_bytes'),
    target('peak resident memory', 0.45, 'peak_bytes'),
    target('a step', 0.75, 'train'),
    target('a step, both compiled', 0.95, 'train', 'training_compiled'),
    target('peak resident memory, both compiled', 1.0, 'peak_bytes',
           'training_compiled'),
    *(Target(
        f'evaluating {what}, so many times as fast',
        '≥ 2.5',
        2.5,
        by_twin('training', key, speed_up=True),
        at_least=True) for key, what in (('evaluate_one', 'one image'),
                                         ('evaluate', '8 images'))),
]


def training_targets(results: Results) -> str:
    return table(['ours : naive twin', 'target', 'minima', 'medians', 'holds'],
                 rows(results, TARGETS))


def figures(doc: dict, names: Sequence[str]) -> List[List[str]]:
    """Rows of what was measured, and a column for each contender."""
    found = [[
        what, *(f'{pair(doc, name, key)[0] / MIB:.0f}' for name in names)
    ] for key, what in (('saved_bytes', 'kept for backward, MiB'),
                        ('peak_bytes', 'peak resident memory, MiB'))
             if not (key == 'saved_bytes' and doc['compiled'])]
    for key, what in TIMES.items():
        values = [pair(doc, name, key) for name in names]
        found += [[
            f'{what.format(doc["batch"])}: {which}, ms', *(f'{value[i]:.0f}'
                                                           for value in values)
        ] for i, which in enumerate(('min', 'median'))]
    return found


def training(results: Results) -> str:
    """Memory and time, eager and compiled."""
    eager, compiled = results['training'], results['training_compiled']
    names = list(CONTENDERS)
    found = figures(eager, names)
    for row in figures(compiled, names[:2]):
        found.append([f'compiled, {row[0]}', *row[1:], '–'])
    texts = [
        f'`{d["command"]}`, load {d["load_average"][0]:.1f} before and '
        f'{d["load_average"][1]:.1f} after' for d in (eager, compiled)
    ]
    where = eager['machine']
    return (table(['', *CONTENDERS.values()], found) +
            f'\n\n{"; ".join(texts)}; {where["cpu"]}, {eager["date"]}, '
            f'torch {where["versions"]["torch"]}.')


def floor(results: Results) -> str:
    """What of the peak is there whatever a network keeps."""
    doc = results['training']
    by_name = {row['contender']: row for row in doc['results']}
    imports = min(row['import_bytes'] for row in by_name.values())
    states = 4 * doc['parameter_bytes']
    twin, ours = (by_name[name] for name in ('naive', 'ours'))
    least = imports + states + ours['saved_bytes']
    above = [row['peak_bytes'] - imports - states for row in (ours, twin)]
    share = (imports + states) / twin['peak_bytes']
    return (
        f'Of the peak, {imports / MIB:.0f} MiB are there after the imports '
        f'(torch, torchvision, MMPretrain); {states / MIB:.0f} are weights, '
        'their gradients and Adam\'s two moments. Together that is '
        f'{share:.2f} of the twin\'s peak. With what is kept for '
        'backward, and not one temporary map, ours '
        f'would be at {least / twin["peak_bytes"]:.2f}. Above this floor it '
        f'takes {above[0] / MIB:.0f} MiB where the twin takes '
        f'{above[1] / MIB:.0f}: {above[0] / above[1]:.2f} of it.')


def convolutions(results: Results) -> str:
    """How much of the eager times is beyond the layers' reach."""
    doc = results['training']
    by_name = {row['contender']: row for row in doc['results']}
    texts = []
    for kind, what in TIMES.items():
        twin, ours = (by_name[name][kind] for name in ('naive', 'ours'))
        own, all_ours, all_twins = (ours['convolution_ms'], ours['min_ms'],
                                    twin['min_ms'])
        texts.append(f'{own:.0f} of {all_ours:.0f} ms of '
                     f'{what.format(doc["batch"])}: everything '
                     f'else takes {all_ours - own:.0f} ms, and '
                     f'{all_twins - twin["convolution_ms"]:.0f} in the twin')
    return ('PyTorch\'s float convolutions (oneDNN), which are the same in '
            f'both, take {"; ".join(texts)} (profiled, minima of three).')


#: Name in the page -> function of the results.
SECTIONS: Dict[str, Callable[[Results], str]] = dict(
    training_targets=training_targets,
    training=training,
    floor=floor,
    convolutions=convolutions)
