"""Which trainings a comparison consists of."""
import json
import re
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from ..atomic_backend import AtomicLocalBackend

#: In the comparison's work directory: its trainings.
FILE = 'comparison.json'


@dataclass(frozen=True)
class Trial:
    """One training of one method with one seed.

    Args:
        method (str): Name of the method, the same for all its seeds.
        config (Path): What ``tools/train.py`` trains.
        options (tuple[str]): ``key=value`` for its ``--cfg-options``.
        seed (int): For its ``--seed``.
        work_dir (Path): For its ``--work-dir``.
    """
    method: str
    config: Path
    options: Tuple[str, ...]
    seed: int
    work_dir: Path


def make_trials(
    configs: Sequence[Path],
    seeds: Sequence[int],
    work_dir: Path,
    vary: Sequence[str] = (),
    options: Sequence[str] = ()
) -> List[Trial]:
    """List all trainings, seed by seed, so that early results are complete.

    Args:
        configs (Sequence[Path]): Config files.
        seeds (Sequence[int]): Trained with every method.
        work_dir (Path): Each training gets ``<method>/seed_<seed>`` below it.
        vary (Sequence[str]): ``key=a,b,c`` each; all combinations are
            methods.
        options (Sequence[str]): ``key=value`` for all trainings.

    Raises:
        ValueError: If a seed or a config is given twice, or ``vary`` is not
            of that form.
        FileNotFoundError: If a config does not exist.
    """
    for path in configs:
        if not path.is_file():
            raise FileNotFoundError(f'There is no config {path}.')
    for kind, values in (('seed', seeds), ('config', configs)):
        twice = {str(value) for value in values if values.count(value) > 1}
        if twice:
            raise ValueError(f'The {kind} {", ".join(sorted(twice))} is given '
                             'more than once.')
    names = _config_names(configs)
    methods = []
    for path, name in zip(configs, names):
        for varied in product(*map(parse_vary, vary)):
            words = [] if varied and len(configs) == 1 else [name]
            words += [_short(option) for option in varied]
            methods.append((' '.join(words), path, (*options, *varied)))
    folders = _folders([method for method, _, _ in methods])
    return [
        Trial(method, path, chosen, seed,
              work_dir / folders[method] / f'seed_{seed}') for seed in seeds
        for method, path, chosen in methods
    ]


def parse_vary(text: str) -> List[str]:
    """``key=a,b`` -> ``['key=a', 'key=b']``.

    Commas within brackets or quotes do not separate values.

    Raises:
        ValueError: If there is no key, or fewer than two values.
    """
    key, equals, rest = text.partition('=')
    values = _split(rest)
    if not key or not equals or len(values) < 2 or not all(values):
        raise ValueError(f'--vary {text!r} is not key=value,value,... with at '
                         'least two values.')
    return [f'{key}={value}' for value in values]


def _split(text: str) -> List[str]:
    """Split at the commas that no bracket and no quote encloses."""
    parts, depth, quote = [''], 0, ''
    for char in text:
        if quote:
            quote = '' if char == quote else quote
        elif char in '\'"':
            quote = char
        depth += (char in '([{') - (char in ')]}') if not quote else 0
        if char == ',' and not depth and not quote:
            parts.append('')
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _short(option: str) -> str:
    """``model.backbone.estimator=clip`` -> ``estimator=clip``."""
    key, _, value = option.partition('=')
    return f'{key.split(".")[-1]}={value}'


def _config_names(configs: Sequence[Path]) -> List[str]:
    """Stems; with the folder in front where configs share a stem."""
    stems = [path.stem for path in configs]
    return [
        path.stem
        if stems.count(path.stem) == 1 else f'{path.parent.name}/{path.stem}'
        for path in configs
    ]


def _folders(methods: Sequence[str]) -> Dict[str, str]:
    """A folder name for each method.

    Raises:
        ValueError: If two methods have one name or would share a folder.
    """
    folders = {
        method: re.sub(r'[^\w.=+-]+', '_', method).strip('_.') or 'method'
        for method in methods
    }
    if len(set(folders.values())) < len(methods):
        raise ValueError('Two methods have the same name, among '
                         f'{", ".join(methods)}. Give their configs other '
                         'file names.')
    return folders


def record_trials(trials: Sequence[Trial], work_dir: Path) -> None:
    """Remember trainings in the work directory, beside those of before."""
    known = {trial.work_dir: trial for trial in recorded_trials(work_dir)}
    known.update({trial.work_dir: trial for trial in trials})
    rows = [
        dict(
            asdict(trial),
            config=str(trial.config.resolve()),
            work_dir=str(trial.work_dir.relative_to(work_dir)))
        for trial in known.values()
    ]
    AtomicLocalBackend().put_text(
        json.dumps(rows, indent=1) + '\n', work_dir / FILE)


def recorded_trials(work_dir: Path) -> List[Trial]:
    """The trainings that a work directory remembers; none if it does not.

    Raises:
        ValueError: If the record is damaged.
    """
    path = work_dir / FILE
    if not path.is_file():
        return []
    try:
        return [
            Trial(row['method'], Path(row['config']), tuple(row['options']),
                  int(row['seed']), work_dir / row['work_dir'])
            for row in json.loads(path.read_text())
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is damaged ({error}). Remove it and name '
                         'the configs again.') from error
