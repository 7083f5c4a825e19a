"""Which runs a config needs, and whether they were done before."""
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmreact.engine.stages import (FingerprintError, Options, check_plan,
                                   make_plan)
from mmreact.engine.stages.checks import check_dataset
from mmreact.engine.stages.fingerprint import (check_same_training,
                                               differences, flatten,
                                               make_fingerprint, read_record,
                                               write_record)
from mmreact.utils.checkpoint import CheckpointError

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / 'configs/reactnet/reactnet-small_1xb128_fashion-mnist.py'
IMAGENET = ROOT / 'configs/reactnet/reactnet-a_8xb32_in1k.py'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def test_order_and_work_directories(tmp_path):
    teacher, stage1, stage2 = make_plan(SMALL, tmp_path)
    assert stage1.teacher is teacher and stage2.teacher is teacher
    assert stage2.start_from is stage1 and stage1.start_from is None
    assert stage2.work_dir == tmp_path
    assert stage1.work_dir == tmp_path / stage1.name
    assert stage2.name == SMALL.stem
    assert stage2.final_checkpoint == tmp_path / 'epoch_2.pth'
    assert stage1.cfg.model.backbone.weight_binarizer == 'real'
    assert stage2.cfg.model.backbone.weight_binarizer == 'scaled_sign'


def test_published_teacher_is_no_run(tmp_path):
    stage1, stage2 = make_plan(IMAGENET, tmp_path)
    assert stage1.teacher == stage2.teacher
    assert stage1.teacher.startswith('https://download.openmmlab.com/')


def test_checkpoints_replace_runs(tmp_path):
    plan = make_plan(SMALL, tmp_path, start_from='s.pth', teacher='t.pth')
    assert [run.name for run in plan] == [SMALL.stem]
    assert plan[0].start_from == Path('s.pth')
    assert plan[0].teacher == str(Path('t.pth').resolve())
    # A teacher's weights also serve the runs before.
    stage1, stage2 = make_plan(IMAGENET, tmp_path, teacher='t.pth')
    assert stage1.teacher == stage2.teacher == str(Path('t.pth').resolve())


def test_options(tmp_path):
    options = Options.from_flags(
        cfg_options={
            'optim_wrapper.optimizer.lr': 0.1,
            f'{SMALL.stem}:train_cfg.max_epochs': 7
        },
        data_root='elsewhere',
        seed=5,
        amp=True,
        validate=False)
    plan = make_plan(SMALL, tmp_path, options)
    assert [run.cfg.train_cfg.max_epochs for run in plan] == [2, 2, 7]
    for run in plan:
        assert run.cfg.optim_wrapper.optimizer.lr == 0.1
        assert run.cfg.optim_wrapper.type == 'CPUAmpOptimWrapper'
        assert run.cfg.train_dataloader.dataset.data_root == 'elsewhere'
        assert run.cfg.test_dataloader.dataset.data_root == 'elsewhere'
        assert run.cfg.randomness.seed == 5
        assert run.cfg.val_dataloader is None


def test_option_for_an_unknown_run(tmp_path):
    options = Options.from_flags(cfg_options={'nobody:x': 1})
    with pytest.raises(ValueError, match=f'nobody.*Runs:.*{SMALL.stem}'):
        make_plan(SMALL, tmp_path, options)


@pytest.mark.parametrize('text, error, message', [
    ("start_from = dict(config='b.py')", ValueError, 'circle.*a.py'),
    ("start_from = dict(config='none.py')", FileNotFoundError,
     'needs the config none.py'),
])
def test_bad_prerequisites(tmp_path, text, error, message):
    head = "model = dict(type='ImageClassifier')\n"
    (tmp_path / 'a.py').write_text(head + text)
    (tmp_path / 'b.py').write_text(head + "start_from = dict(config='a.py')")
    with pytest.raises(error, match=message):
        make_plan(tmp_path / 'a.py', tmp_path)


def test_missing_config(tmp_path):
    with pytest.raises(FileNotFoundError, match='There is no config'):
        make_plan(tmp_path / 'a.py', tmp_path)


def test_last_checkpoint(tmp_path):
    run = make_plan(SMALL, tmp_path)[-1]
    assert run.last_checkpoint() is None
    for name in ('epoch_2.pth', 'epoch_10.pth', 'best_x_epoch_11.pth',
                 'epoch_x.pth', '.epoch_12.pth.tmp'):
        (tmp_path / name).touch()
    assert run.last_checkpoint().name == 'epoch_10.pth'


def test_flatten():
    assert flatten(dict(a=[1, dict(b=None)], c={}, d=())) == {
        'a.0': 1,
        'a.1.b': None,
        'c': '{}',
        'd': '[]'
    }
    assert differences(dict(a=1, b=2), dict(b=3, c=4)) == [
        '  a: 1 -> (absent)', '  b: 2 -> 3', '  c: (absent) -> 4'
    ]


IGNORED = ('log_level=DEBUG', 'train_dataloader.num_workers=7',
           'val_dataloader.batch_size=3', 'default_hooks.logger.interval=3',
           'default_hooks.binary_stats.interval=3')
COUNTED = ('optim_wrapper.optimizer.lr=0.3', 'train_dataloader.batch_size=3',
           'model.backbone.estimator=clip', 'randomness.seed=9')


@pytest.mark.parametrize('option', IGNORED + COUNTED)
def test_fingerprint_changes_with_what_is_learned(tmp_path, option):
    key, value = option.split('=')
    value = json.loads(value) if value[0].isdigit() else value
    options = Options.from_flags(cfg_options={f'{SMALL.stem}:{key}': value})
    old = make_fingerprint(make_plan(SMALL, tmp_path)[-1], 1)
    run = make_plan(SMALL, tmp_path, options)[-1]
    assert (old != make_fingerprint(run, 1)) == (option in COUNTED)
    write_record(tmp_path, old, seed=0)
    if option in COUNTED:
        with pytest.raises(FingerprintError, match=key):
            check_same_training(run)
    else:
        check_same_training(run)


@pytest.mark.parametrize('option', [None, 'randomness.seed'])
def test_another_number_of_processes_is_the_same_training(tmp_path, option):
    """Also where a run before, which enters with its digest, was trained so.
    """
    run = make_plan(SMALL, tmp_path)[-1]
    write_record(tmp_path, make_fingerprint(run, 8), seed=0)
    if option is None:
        check_same_training(run)
        assert make_fingerprint(run, 8) != make_fingerprint(run, 1)
        return
    options = Options.from_flags(cfg_options={option: 9})
    with pytest.raises(FingerprintError) as error:
        check_same_training(make_plan(SMALL, tmp_path, options)[-1])
    assert option in str(error.value)
    assert 'num_processes' not in str(error.value)


def test_fingerprint_follows_prerequisites_not_places(tmp_path):
    """A change in stage 1 reaches stage 2; another folder does not."""
    name = SMALL.stem.replace('small_', 'small-stage1_')
    options = Options.from_flags(
        cfg_options={f'{name}:optim_wrapper.optimizer.lr': 0.3})
    plans = [
        make_plan(SMALL, tmp_path / 'a'),
        make_plan(SMALL, tmp_path / 'b'),
        make_plan(SMALL, tmp_path / 'a', options)
    ]
    same, moved, changed = (make_fingerprint(plan[-1], 1) for plan in plans)
    assert same == moved
    lines = differences(same, changed)
    assert len(lines) == 1 and f'start_from (run {name})' in lines[0]


def test_fingerprint_of_files(tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'1')
    runs = [make_plan(SMALL, tmp_path, start_from=tmp_path / 'a.pth')[-1]]
    first = make_fingerprint(runs[0], 1)
    (tmp_path / 'a.pth').write_bytes(b'2')
    assert differences(first, make_fingerprint(
        runs[0], 1))[0].startswith('  start_from (checkpoint): ')


def build_plan(folder, teacher_classes=10, width=64, reset=False):
    """Teacher, stage 1 and stage 2 of a tiny network, as config files."""
    (folder / 'teacher.py').write_text(f'''
model = dict(type='ImageClassifier',
             backbone=dict(type='ResNet', depth=18),
             neck=dict(type='GlobalAveragePooling'),
             head=dict(type='LinearClsHead', num_classes={teacher_classes},
                       in_channels=512))
train_cfg = dict(by_epoch=True, max_epochs=1)
''')
    for name, w, extra in (('one', 64, ''),
                           ('two', width,
                            "start_from = dict(config='one.py')")):
        (folder / f'{name}.py').write_text(f'''
model = dict(type='DistilledImageClassifier',
             backbone=dict(type='ReActNet', arch=[({w}, 2)],
                           stem_channels={w // 2}),
             neck=dict(type='GlobalAveragePooling'),
             head=dict(type='DistributionalLossHead', num_classes=10,
                       in_channels={w}),
             teacher=dict(config='teacher.py'))
train_cfg = dict(by_epoch=True, max_epochs=1)
{extra}
''')
    return make_plan(folder / 'two.py', folder / 'work')


def test_checks_accept_a_good_plan(tmp_path):
    check_plan(build_plan(tmp_path))


def test_another_width_is_found_before_training(tmp_path):
    with pytest.raises(CheckpointError) as error:
        check_plan(build_plan(tmp_path, width=32))
    message = str(error.value)
    assert 'one, from which two starts' in message
    assert 'shape: backbone.stem.0.weight is (32, 3, 3, 3), the model has ' \
        '(16, 3, 3, 3)' in message
    assert 'shape: head.fc.weight' in message


def test_teacher_with_other_classes(tmp_path):
    with pytest.raises(ValueError, match='has 10 classes, its teacher 7'):
        check_plan(build_plan(tmp_path, teacher_classes=7))


@pytest.mark.parametrize('key', ['start_from', 'teacher'])
def test_missing_and_truncated_files(tmp_path, key):
    build_plan(tmp_path)
    path = tmp_path / 'x.pth'
    for content, message in ((None, 'no checkpoint'), (b'', 'truncated'),
                             (b'PK\x03\x04 and no more', 'truncated')):
        if content is not None:
            path.write_bytes(content)
        plan = make_plan(tmp_path / 'two.py', tmp_path / 'w', **{key: path})
        with pytest.raises(CheckpointError, match=message):
            check_plan(plan)


def test_teacher_without_weights(tmp_path):
    plan = build_plan(tmp_path)
    plan[-1].teacher = None
    with pytest.raises(ValueError, match='give --teacher CKPT'):
        check_plan(plan)


def dataset_plan(tmp_path, **dataset):
    plan = build_plan(tmp_path)
    plan[-1].cfg.train_dataloader = Config(
        dict(dataset=dict(type='ImageNet', split='train', **dataset)))
    return plan


def test_missing_data(tmp_path):
    root = tmp_path / 'imagenet'
    plan = dataset_plan(tmp_path, data_root=str(root))
    with pytest.raises(FileNotFoundError, match='--data-root'):
        check_plan(plan)
    root.mkdir()
    with pytest.raises(
            FileNotFoundError, match='folder of images for each class'):
        check_plan(plan)
    (root / 'train').mkdir()
    with pytest.raises(FileNotFoundError, match='no class folder'):
        check_plan(plan)
    (root / 'train' / 'n01').mkdir()
    with pytest.raises(ValueError, match='n01 holds no image'):
        check_plan(plan)
    (root / 'train' / 'n01' / 'a.JPEG').touch()
    with pytest.raises(ValueError, match='1 class folders, the model has 10'):
        check_plan(plan)
    for i in range(2, 11):
        (root / 'train' / f'n{i:02}').mkdir()
        (root / 'train' / f'n{i:02}' / 'a.png').touch()
    check_plan(plan)


@pytest.mark.parametrize('wrap', [
    lambda d: dict(type='RepeatDataset', times=2, dataset=d),
    lambda d: dict(type='ConcatDataset', datasets=[d]),
    lambda d: dict(d, data_prefix=dict(img_path='train')),
])
def test_missing_data_in_wrappers(tmp_path, wrap):
    root = tmp_path / 'images'
    root.mkdir()
    dataset = dict(
        type='CustomDataset', data_root=str(root), data_prefix='train')
    with pytest.raises(FileNotFoundError, match='images/train does not exist'):
        check_dataset(wrap(dataset))
    (root / 'train' / 'cat').mkdir(parents=True)
    (root / 'train' / 'cat' / '1.jpg').touch()
    check_dataset(wrap(dataset), num_classes=1)


@pytest.mark.parametrize('text', [
    '', 'no json', '[]', '3', '{}', '{"seed": 1}', '[' * 100_000,
    '{"seed": 1, "fingerprint": []}', '{"seed": 1, "fingerprint": {}}',
    '{"seed": 1, "fingerprint": {"num_processes": "2"}}', '\udcff'
])
def test_a_damaged_record_is_named(tmp_path, text):
    path = tmp_path / 'fingerprint.json'
    path.write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(FingerprintError, match=f'{path}.* cannot be used'):
        read_record(tmp_path)
