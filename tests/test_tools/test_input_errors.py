"""What a user gave wrong is said without a traceback; a mistake has one."""
import pytest
import torch

from mmreact.utils.cli import run
from mmreact.utils.input_errors import input_errors


@pytest.fixture
def broken(tmp_path, tiny_configs):
    """A folder of what users get wrong."""
    (tmp_path / 'page.pth').write_text('<!doctype html><html></html>')
    torch.save(dict(a=torch.zeros(3)), tmp_path / 'other.pth')
    (tmp_path / 'net.safetensors').write_bytes(b'nothing')
    base = f'_base_ = {str(tiny_configs / "stage2.py")!r}\n'
    (tmp_path /
     'circle.py').write_text(base + "start_from = dict(config='circle.py')\n")
    (tmp_path /
     'no_stage.py').write_text(base + "start_from = dict(config='gone.py')\n")
    return tmp_path


TRAIN, TEST = ('train.py', '{ok}/stage2.py'), ('test.py', '{ok}/stage2.py')


@pytest.mark.parametrize('words, message', [
    (('train.py', '{bad}/gone.py'), 'There is no config'),
    (('train.py', '{bad}/circle.py'), 'in a circle'),
    (('train.py', '{bad}/no_stage.py'), 'needs the config gone.py'),
    ((*TRAIN, '--data-root', '{bad}/data'), 'does not exist'),
    ((*TRAIN, '--from', '{bad}/page.pth'), 'page.pth'),
    ((*TRAIN, '--from', '{bad}/other.pth'), 'other.pth'),
    ((*TRAIN, '--cfg-options', 'modle.x=1'), 'there is no key modle'),
    ((*TEST, '{bad}/gone.pth'), 'gone.pth'),
    ((*TEST, '{bad}/page.pth'), 'page.pth'),
    ((*TEST, '{bad}/other.pth'), 'other.pth'),
    ((*TEST, '{bad}/net.safetensors'), 'net.safetensors'),
    (('test.py', '{bad}/gone.py', '{bad}/other.pth'), 'There is no config'),
    (('analysis_tools/get_ops.py', '{bad}/gone.py'), 'There is no config'),
])
@pytest.mark.slow
def test_no_traceback(run_tool, tiny_configs, broken, tmp_path, words,
                      message):
    tool, *args = (word.format(ok=tiny_configs, bad=broken) for word in words)
    work_dir = ['--work-dir', tmp_path / 'work'] if '_ops' not in tool else []
    result = run_tool(tool, *args, *work_dir, check=False)
    assert result.returncode == 1
    last = result.stderr[result.stderr.rindex('Error: '):]
    assert message in last
    assert 'Traceback' not in result.stderr, result.stderr
    assert not (tmp_path / 'work').exists() or tool == 'test.py'


@pytest.mark.parametrize('kind', [OSError, ValueError, RuntimeError])
def test_run(kind):

    def wrong():
        with input_errors():
            raise kind('the file is gone')

    def mistake():
        raise kind('a bug')

    with pytest.raises(SystemExit, match='Error: the file is gone'):
        run(wrong)
    with pytest.raises(kind, match='a bug'):
        run(mistake)
