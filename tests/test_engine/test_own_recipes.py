"""Recipes in a user's own folder, made of those of this repository."""
import json
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmreact.engine.stages import Options, check_plan, make_plan, train_plan
from mmreact.engine.stages.fingerprint import make_fingerprint

BASE = 'mmreact::reactnet/reactnet-small_1xb128_fashion-mnist.py'
STAGE1 = 'reactnet-small-stage1_1xb128_fashion-mnist'
TEACHER = 'resnet18-w16_1xb128_fashion-mnist'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


@pytest.fixture
def plan_of(tmp_path):
    """``plan_of(text, **cfg_options)``: the runs of a user's config."""

    def plan(*lines, name='mine.py', **options):
        path = tmp_path / 'user' / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('\n'.join((f'_base_ = {BASE!r}', *lines)))
        return make_plan(path, tmp_path / 'work', Options.from_flags(options))

    return plan


def test_three_lines(plan_of):
    """One's own classes in all runs, found from a folder of one's own."""
    plan = plan_of('model = dict(head=dict(num_classes=7))',
                   "all_runs = ['model.head.num_classes']")
    assert [run.name for run in plan] == [TEACHER, STAGE1, 'mine']
    assert [run.cfg.model.head.num_classes for run in plan] == [7, 7, 7]
    for run in plan:
        run.cfg.train_dataloader = run.cfg.val_dataloader = None
    check_plan(plan)  # hand-overs fit, the teacher has as many classes


#: What a user's config says -> a key of it, and the values of teacher, stage 1
#: and stage 2.
SHARED = {
    'not shared':
    ('train_cfg = dict(max_epochs=9)', '', 'train_cfg.max_epochs', [2, 2, 9]),
    'stages':
    ('train_cfg = dict(max_epochs=9)', "all_stages = ['train_cfg.max_epochs']",
     'train_cfg.max_epochs', [2, 9, 9]),
    'runs': ('train_cfg = dict(max_epochs=9)', "all_runs = ['train_cfg']",
             'train_cfg.max_epochs', [9, 9, 9]),
    'a new key':
    ('compile = True', "all_runs = ['compile']", 'compile', [True] * 3),
    'within a list':
    ('train_dataloader = dict(dataset=dict(pipeline=['
     "dict(type='SeedAugmentation'), dict(type='PackInputs')]))",
     "all_runs = ['train_dataloader.dataset.pipeline']",
     'train_dataloader.dataset.pipeline.1.type', ['PackInputs'] * 3),
    'both lists': ("model = dict(backbone=dict(estimator='clip'))",
                   "all_stages = ['model.backbone.estimator']\n"
                   "all_runs = ['train_dataloader']",
                   'model.backbone.estimator', [None, 'clip', 'clip']),
}


def value_of(cfg, key):
    for part in key.split('.'):
        if isinstance(cfg, (dict, Config)) and part not in cfg:
            return None
        cfg = cfg[int(part) if part.isdigit() else part]
    return cfg


@pytest.mark.parametrize('case', SHARED)
def test_how_far_values_reach(plan_of, case):
    *lines, key, expected = SHARED[case]
    plan = plan_of(*lines)
    assert [value_of(run.cfg, key) for run in plan] == expected
    stage1, stage2 = (run.cfg.model.backbone for run in plan[1:])
    assert [stage1.weight_binarizer,
            stage2.weight_binarizer] == ['real', 'scaled_sign']


def test_the_whole_value_is_taken(plan_of):
    """Nothing is left of the earlier run's own."""
    plan = plan_of(
        "optim_wrapper = dict(_delete_=True, optimizer=dict(type='SGD', "
        'lr=1.))', "all_stages = ['optim_wrapper']")
    assert [run.cfg.optim_wrapper.to_dict() for run in plan[1:]
            ] == [dict(optimizer=dict(type='SGD', lr=1.))] * 2
    assert plan[0].cfg.optim_wrapper.optimizer.type != 'SGD'
    plan[2].cfg.optim_wrapper.optimizer.lr = 2.  # copies
    assert plan[1].cfg.optim_wrapper.optimizer.lr == 1.


def test_the_command_line_goes_last(plan_of):
    """For all runs, for one, and shared from the run it is given for."""
    lines = ('train_cfg = dict(max_epochs=9)',
             "all_stages = ['train_cfg.max_epochs']")

    def epochs(**options):
        return [
            run.cfg.train_cfg.max_epochs for run in plan_of(*lines, **options)
        ]

    assert epochs(**{'train_cfg.max_epochs': 4}) == [4, 4, 4]
    assert epochs(**{f'{STAGE1}:train_cfg.max_epochs': 4}) == [2, 4, 9]
    assert epochs(**{'mine:train_cfg.max_epochs': 4}) == [2, 4, 4]
    assert epochs(all_runs=['train_cfg']) == [9, 9, 9]


@pytest.mark.parametrize('line, message', [
    ("all_runs = ['model.neck.size']", 'lists model.neck.size, which'),
    ("all_runs = ['train_cfgs']", 'no key train_cfgs.*mean train_cfg'),
    ("all_runs = 'train_cfg'", 'must be a list of keys'),
    ('all_runs = [1]', 'must be a list of keys'),
    ("all_stages = dict(train_cfg=dict(max_epochs=1))",
     'must be a list of keys'),
    ("all_stages = ['teacher_pipeline.0']", 'no key teacher_pipeline'),
    ("model = dict(head=dict(loss=dict(a=dict(b=1))))\n"
     "all_runs = ['model.head.loss.a.b']",
     f'hands model.head.loss.a.b to {STAGE1}'),
])
def test_lists_that_cannot_work(plan_of, line, message):
    with pytest.raises(ValueError, match=message):
        plan_of(line)


def test_each_run_records_what_it_was_handed(plan_of):
    """So that its record, trained again, says the same to its teacher."""
    lines = ('train_cfg = dict(max_epochs=9)', "all_runs = ['train_cfg']",
             "all_stages = ['optim_wrapper.optimizer.lr']")
    teacher, stage1, stage2 = plan_of(*lines)
    assert stage1.cfg.all_runs == stage2.cfg.all_runs == ['train_cfg']
    assert stage1.cfg.all_stages == ['optim_wrapper.optimizer.lr']
    assert teacher.cfg.all_runs == ['train_cfg']
    assert 'all_stages' not in teacher.cfg
    # The same values, however they were written, are the same training.
    other = plan_of(
        'train_cfg = dict(max_epochs=9)', **{
            f'{TEACHER}:train_cfg.max_epochs':
            9,
            f'{STAGE1}:train_cfg.max_epochs':
            9,
            f'{STAGE1}:optim_wrapper.optimizer.lr':
            stage2.cfg.optim_wrapper.optimizer.lr
        })
    assert make_fingerprint(other[-1], 1) == make_fingerprint(stage2, 1)
    assert make_fingerprint(plan_of('train_cfg = dict(max_epochs=9)')[-1],
                            1) != make_fingerprint(stage2, 1)


def test_a_checkout_that_moves_is_the_same_training(small_configs, tmp_path):
    shutil.copytree(small_configs, tmp_path / 'moved')
    first, moved = (
        make_fingerprint(
            make_plan(folder / 'two.py', tmp_path / 'work')[-1], 1)
        for folder in (small_configs, tmp_path / 'moved'))
    assert first == moved


DISTILLED = "model = dict(type='DistilledImageClassifier', " \
    "teacher=dict(config={!r}))\n"


def test_one_run_with_two_values(small_configs, tmp_path):
    """A run that two others need is trained once, or refused."""

    def write(name, *lines):
        base = f"_base_ = {str(small_configs / 'one.py')!r}\n"
        (tmp_path / f'{name}.py').write_text(base + '\n'.join(lines))

    def epochs():
        plan = make_plan(tmp_path / 'main.py', tmp_path)
        return [(run.name, run.cfg.train_cfg.max_epochs) for run in plan]

    seven = 'train_cfg = dict(max_epochs=7)'
    write('b')
    write('stage', DISTILLED.format('b.py'))
    write('main', DISTILLED.format('stage.py'), seven,
          "start_from = dict(config='stage.py')", "all_runs = ['train_cfg']")
    assert epochs() == [('b', 7), ('stage', 7), ('main', 7)]
    # Of both ways to one run, the one that hands more on comes first.
    write('main', DISTILLED.format('stage.py'), seven,
          "start_from = dict(config='stage.py')", "all_stages = ['train_cfg']")
    assert epochs() == [('b', 3), ('stage', 7), ('main', 7)]
    write('teacher', seven, "start_from = dict(config='b.py')",
          "all_stages = ['train_cfg']")
    write('main', DISTILLED.format('teacher.py'),
          "start_from = dict(config='stage.py')")
    with pytest.raises(ValueError, match='b.py is needed twice'):
        epochs()


def test_files_of_one_stem(small_configs, tmp_path):
    """A config and the stage it starts from may have one name."""
    names = ['user/two.py', 'more/two.py']
    for name, before in zip(names, (small_configs / 'two.py', names[0])):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(
            f"_base_ = {str(small_configs / 'one.py')!r}\n"
            f'start_from = dict(config={str(tmp_path / before)!r})')
    plan = make_plan(tmp_path / names[1], tmp_path / 'work')
    folder = small_configs.name
    assert [run.name
            for run in plan] == ['one', f'{folder}-two', 'user-two', 'two']
    assert len({run.work_dir for run in plan}) == 4


def test_work_dir_and_load_from_of_a_config(small_configs, tmp_path):
    path = tmp_path / 'mine.py'
    head = f"_base_ = {str(small_configs / 'one.py')!r}\n"
    path.write_text(head)
    assert str(make_plan(path)[-1].work_dir) == 'work_dirs/mine'
    path.write_text(head + f"work_dir = {str(tmp_path / 'x')!r}\n"
                    "load_from = 'a.pth'")
    run, = make_plan(path)
    assert run.work_dir == tmp_path / 'x' and str(run.start_from) == 'a.pth'
    run, = make_plan(path, tmp_path / 'y', start_from='b.pth')
    assert run.work_dir == tmp_path / 'y' and str(run.start_from) == 'b.pth'
    path.write_text(path.read_text().replace('one.py', 'two.py'))
    with pytest.raises(ValueError, match='both start_from and load_from'):
        make_plan(path)


def test_name_given_with_an_option(small_configs, tmp_path, monkeypatch):
    """It is looked up beside the config, then in the current directory."""
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = {str(small_configs / 'one.py')!r}\n")
    monkeypatch.chdir(small_configs)
    options = Options.from_flags({'mine:start_from.config': 'one.py'})
    first, _ = make_plan(path, tmp_path, options)
    assert first.cfg.filename == str(small_configs / 'one.py')


def test_trained_in_a_folder_of_ones_own(small_configs, tmp_path, monkeypatch):
    """Three lines; from another directory; resumed and trained again."""
    path = tmp_path / 'mine.json'
    path.write_text(
        json.dumps(
            dict(
                _base_=str(small_configs / 'two.py'),
                train_cfg=dict(max_epochs=1),
                all_stages=['train_cfg.max_epochs'])))
    monkeypatch.chdir(tmp_path)
    final = train_plan(make_plan('mine.json'))
    assert str(final) == 'work_dirs/mine/epoch_1.pth'
    one, two = (
        torch.load(p, weights_only=True)['state_dict']
        for p in ('work_dirs/mine/one/epoch_1.pth', final))
    assert one.keys() == two.keys()
    record = Config.fromfile('work_dirs/mine/mine.json')
    assert record.load_from == 'work_dirs/mine/one/epoch_1.pth'
    assert Config.fromfile(
        'work_dirs/mine/one/one.py').train_cfg.max_epochs == 1
    # The record is a config of this one run.
    again = train_plan(make_plan('work_dirs/mine/mine.json', 'again'))
    for key, value in torch.load(
            again, weights_only=True)['state_dict'].items():
        assert torch.equal(value, two[key]), key
