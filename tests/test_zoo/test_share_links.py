"""Share links become links to the file."""
from base64 import urlsafe_b64decode

import pytest

from mmreact.zoo.share_links import direct_link

SHAREPOINT = 'https://some-my.sharepoint.com/:u:/g/personal/a_b/EW1F-VkA_Q'


@pytest.mark.parametrize('url,expected', [
    (f'{SHAREPOINT}?e=oyebWy', f'{SHAREPOINT}?e=oyebWy&download=1'),
    (SHAREPOINT, f'{SHAREPOINT}?download=1'),
    (f'{SHAREPOINT}?download=0&e=a', f'{SHAREPOINT}?e=a&download=1'),
    (f'{SHAREPOINT}?e=a&download=1', f'{SHAREPOINT}?e=a&download=1'),
    ('https://a.sharepoint.com/sites/x/file.pth', None),
    ('https://sharepoint.com.evil.org/:u:/g/x', None),
    ('https://download.openmmlab.com/a-4271cd6c.pth?x=1', None),
    ('file:///a/b.pth', None),
    ('', None),
])
def test_links(url, expected):
    assert direct_link(url) == (expected or url)


@pytest.mark.parametrize('url', [
    'https://1drv.ms/u/s!AbC_d-e?e=fGh',
    'https://onedrive.live.com/redir?resid=1231244193912!12&authKey=1201919',
])
def test_onedrive(url):
    """The link is the key: base64url without padding, behind u!."""
    start, key, *rest = direct_link(url).split('/')[-4:]
    assert (start, rest) == ('shares', ['root', 'content'])
    assert key.startswith('u!') and not set('+/=') & set(key)
    padded = key[2:] + '=' * (-len(key[2:]) % 4)
    assert urlsafe_b64decode(padded).decode() == url
