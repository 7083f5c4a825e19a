"""The tables of docs/performance.md, each a function of the results."""
from typing import Callable, Dict, List, Sequence

from . import targets
from .targets import Results, find

#: How engines are called.
LABELS = {
    'native': 'native',
    'openvino-binary': 'OpenVINO, 1-bit',
    'onnxruntime-fp32': 'ONNX Runtime, fp32',
    'openvino-fp32': 'OpenVINO, fp32',
    'openvino-default': 'OpenVINO, as it comes',
    'onnxruntime-int8': 'ONNX Runtime, int8',
    'openvino-int8': 'OpenVINO, int8 (NNCF)',
    'openvino-int8-qdq': 'OpenVINO, int8 (QDQ)',
    'torch': 'PyTorch, eager, the model as trained',
    'torch-constant': 'PyTorch, eager, weights binarized once',
    'torch-compile': 'PyTorch, compiled, weights binarized once',
}


def label(row: dict) -> str:
    """Of the engine of a row, with what is special about how it ran."""
    name, _, kernel = row['engine'].partition(':')
    text = LABELS[name].replace('int8', int8_label(row['weight_bits']))
    return text + (f', {kernel} forced' if kernel else '')


def int8_label(weight_bits: int) -> str:
    return 'int8 with 7-bit weights' if weight_bits == 7 else 'int8'


def table(titles: Sequence[str],
          rows: Sequence[Sequence[str]],
          texts: int = 1) -> str:
    """A markdown table, of which so many columns are texts."""
    align = ['---'] * texts + ['--:'] * (len(titles) - texts)
    return '\n'.join('| ' + ' | '.join(row) + ' |'
                     for row in [titles, align, *rows])


def ms(value: float) -> str:
    return format(value, '.2f' if value < 100 else '.0f')


def pair(row: dict) -> List[str]:
    return [ms(row['min_ms']), ms(row['median_ms'])]


def machine(results: Results) -> str:
    first = results['networks_1']
    where, dates = first['machine'], sorted(
        {d['date']
         for d in results.values()})
    versions = ', '.join(f'{k} {v}' for k, v in where['versions'].items())
    rows = [[
        f'`{name}`', f'`{d["command"]}`', d['date'],
        ' / '.join(f'{load:.1f}' for load in d['load_average'])
    ] for name, d in results.items()]
    return (
        f'{where["cpu"]}, {where["cpus"]} CPUs '
        f'({", ".join(where["flags"])}), {" to ".join(dates)}; '
        f'{versions}.\n\n' +
        table(['results', 'command', 'date', 'load before / after'], rows, 3))


def target_table(results: Results) -> str:
    return table(['', 'target', 'minima', 'medians', 'holds'],
                 targets.rows(results)) + '\n\n' + limit(results)


def limit(results: Results) -> str:
    """How far popcounting allows to come, whatever the rest costs."""
    doc = results['layers']
    texts = []
    for kernel, what, rivals in ((doc['kernel'], 'MobileNetV1 1.0 in int8',
                                  targets.engines('MobileNetV1 1.0',
                                                  *targets.INT8_OPENVINO)),
                                 ('avx2', 'what it takes in OpenVINO in fp32',
                                  [('ReActNet-A', 'openvino-fp32')])):
        try:
            least = popcount_ms(doc, kernel)
            rival = min(
                [find(results, 'networks_1', *r, 1)['min_ms'] for r in rivals])
        except KeyError:  # another processor, or left out
            continue
        texts.append(f'with the kernel {kernel} popcounting alone takes '
                     f'{least:.2f} ms, {least / rival:.2f} times {what}')
    return ('How near ReActNet-A can come on one core, whatever the rest '
            f'costs ([below](#roofline)): {"; ".join(texts)}.')


def networks(results: Results) -> str:
    one, two = results['networks_1'], results['networks_2']
    ours = find(results, 'networks_1', *targets.NATIVE, 1)
    rows = []
    for row in one['results']:
        key = row['network'], row['engine']
        rows.append([
            row['network'],
            label(row), f'{one["networks"][row["network"]]["top1"]:.1f}',
            *pair(row), f'{row["min_ms"] / ours["min_ms"]:.2f}',
            *pair(find(results, 'networks_2', *key, 2)),
            str(row['calls'])
        ])
    skipped = [
        f'{s["contender"]} ({s["reason"]})' for d in (one, two)
        for s in d['skipped']
    ]
    note = f'\n\nLeft out: {"; ".join(skipped)}.' if skipped else ''
    return table([
        'network', 'engine', 'published top-1', '1 thread: min', 'median',
        'min by ReActNet-A native', '2 threads: min', 'median', 'calls'
    ], rows, 2) + note


def busy(results: Results) -> str:
    rows = []
    for row in results['busy_1']['results']:
        key = row['network'], row['engine']
        cells = [row['network'], label(row)]
        for threads in (1, 2):
            quiet = find(results, f'networks_{threads}', *key, threads)
            loud = find(results, f'busy_{threads}', *key, threads)
            cells += [ms(quiet['median_ms']), *pair(loud)]
        rows.append(cells)
    return table([
        'network', 'engine', '1 thread, alone: median', 'busy: min', 'median',
        '2 threads, alone: median', 'busy: min', 'median'
    ], rows, 2)


def batch(results: Results) -> str:
    rows = []
    for row in results['batch_8_1']['results']:
        key = row['network'], row['engine']
        cells = [row['network'], label(row)]
        for threads in (1, 2):
            many = find(results, f'batch_8_{threads}', *key, threads)
            number = results[f'batch_8_{threads}']['batch']
            cells += [
                f'{1000 * number / many["min_ms"]:.0f}',
                f'{1000 * number / many["median_ms"]:.0f}'
            ]
        rows.append(cells)
    return table([
        'network', 'engine', '1 thread: fastest', 'median',
        '2 threads: fastest', 'median'
    ], rows, 2)


def scaling(results: Results) -> str:
    rows = []
    for row in results['scaling']['results']:
        if row['threads'] > 1:
            continue
        more = find(results, 'scaling', row['network'], row['engine'], 2)
        rows.append([
            row['network'],
            label(row), *pair(row), *pair(more),
            f'{row["min_ms"] / more["min_ms"]:.2f}',
            f'{row["median_ms"] / more["median_ms"]:.2f}'
        ])
    return table([
        'network', 'engine', '1 thread: min', 'median', '2 threads: min',
        'median', 'faster by: minima', 'medians'
    ], rows, 2)


def processes(results: Results) -> str:
    rows = []
    for row in results['processes']['results']:
        least, middle = row['min'], row['median']
        runs = 'first_call_ms' in least
        rows.append([
            row['name'],
            dict(nothing='–').get(row['loader'], row['loader']),
            f'{row["bytes"] / 1e6:.2f}' if row['bytes'] else '–',
            f'{middle["import_ms"]:.0f}', *([
                f'{least["load_ms"]:.1f}', f'{middle["load_ms"]:.1f}',
                f'{middle["first_call_ms"]:.1f}',
                f'{middle["later_call_ms"]:.2f}'
            ] if runs else ['–'] * 4), f'{middle["resident_mb"]:.1f}',
            f'{middle["peak_mb"]:.1f}'
        ])
    with_torch = [
        row['name'] for row in results['processes']['results'] if row['torch']
    ]
    note = (f'torch was imported by: {", ".join(with_torch)}.'
            if with_torch else 'No process imported torch.')
    return table([
        'process', 'engine', 'file, MB', 'import, ms', 'load, ms: min',
        'median', 'first call, ms', 'later calls, ms', 'resident, MB',
        'peak, MB'
    ], rows, 2) + f'\n\n{note}'


def int8(results: Results) -> str:
    doc = results['networks_1']
    peaks = results['layers']['peaks']['gmacs']
    real = max(v for k, v in peaks.items() if k.startswith('fp32'))
    rows = []
    for row in doc['results']:
        if row['layers']:
            macs = doc['networks'][row['network']]['flops']
            rows.append([
                row['network'],
                label(row),
                ', '.join(f'{n} {name}' for name, n in row['layers'].items()),
                f'{macs / row["min_ms"] / 1e6:.0f}'
            ])
    return table(['network', 'engine', 'layers', 'GMAC/s'], rows, 3) + (
        f'\n\nOne core multiplies and adds {real:.0f} GMAC/s in fp32 at most '
        '(below): what is faster than that cannot be fp32.')


def peaks(results: Results) -> str:
    found = results['layers']['peaks']
    rows = [[name, f'{value:.0f} GMAC/s']
            for name, value in found['gmacs'].items()]
    rows += [[f'floats changed in place, {name}', f'{value:.0f} GB/s']
             for name, value in found['gigabytes'].items()]
    return table(['one core, in registers', 'at most'], rows)


def bound(doc: dict, row: dict, kernel: str = None) -> float:
    """Milliseconds that popcounting takes a layer, at least."""
    peak = doc['peaks']['gmacs'][kernel or doc['kernel']]
    return row['macs']['binary'] / peak / 1e6


def popcount_ms(doc: dict, kernel: str = None) -> float:
    """The same for all layers."""
    return sum(row['number'] * bound(doc, row, kernel)
               for row in doc['results'])


def layers(results: Results) -> str:
    doc, rows = results['layers'], []
    for row in doc['results']:
        least, added = bound(doc, row), row['added']
        cells = ['–'] * 4
        if row['macs']['binary']:
            cells[0] = f'{1000 * least:.0f}'
        if added:
            cells[1:3] = [f'{1000 * added[k]:.0f}' for k in targets.KEYS]
            if added['min_ms'] > 0:
                cells[3] = f'{least / added["min_ms"]:.0%}'
        channels, height, width = row['input_shape']
        rows.append([
            row['layer'], f'{channels}x{height}x{width}',
            str(row['number']), f'{sum(row["macs"].values()) / 1e6:.1f}',
            f'{1000 * row["alone"]["min_ms"]:.0f}', cells[1], cells[2],
            cells[0], cells[3]
        ])
    return table([
        'layer', 'input', 'number', 'MMAC', 'alone, µs', 'added, µs: min',
        'of medians', 'bound, µs', 'share'
    ], rows, 2) + '\n\n' + whole(doc)


def whole(doc: dict) -> str:
    """How the layers sum up."""
    timed = doc['whole']
    least = popcount_ms(doc)
    sums = dict(binary=0, real=0)
    for row in doc['results']:
        kind = 'added' if row['added'] else 'alone'
        sums['binary' if row['added'] else 'real'] += (
            row['number'] * row[kind]['min_ms'])
    return (f'The whole network takes {timed["min_ms"]:.2f} ms (median '
            f'{timed["median_ms"]:.2f}), popcounting alone at least '
            f'{least:.2f} ms, which is {least / timed["min_ms"]:.0%}. The '
            f'added times of all 1-bit layers sum to {sums["binary"]:.2f} ms; '
            f'real layers take {sums["real"]:.2f} ms when they run alone, '
            'conversion and call included.')


#: Name in the page -> function of the results.
SECTIONS: Dict[str, Callable[[Results], str]] = dict(
    machine=machine,
    targets=target_table,
    networks=networks,
    busy=busy,
    batch=batch,
    scaling=scaling,
    processes=processes,
    int8=int8,
    peaks=peaks,
    layers=layers)
