"""Turn OneDrive's and SharePoint's share links into links to the file.

A share link shows a page. For the personal OneDrive the shares API answers
with the file (the link is its key, in base64url behind ``u!``: Microsoft's
documentation of ``/shares/{encoded link}``). SharePoint gives the file to a
link that has ``download=1``, as public download scripts use it.
"""
from base64 import urlsafe_b64encode
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

ONEDRIVE = ('1drv.ms', 'onedrive.live.com')
SHARES_API = 'https://api.onedrive.com/v1.0/shares/u!{}/root/content'


def direct_link(url: str) -> str:
    """The link to the file behind a share link; other links are unchanged."""
    parts = urlsplit(url)
    host = (parts.hostname or '').lower()
    if host in ONEDRIVE:
        return SHARES_API.format(
            urlsafe_b64encode(url.encode()).decode().rstrip('='))
    if host.endswith('.sharepoint.com') and parts.path.startswith('/:'):
        query = [
            pair for pair in parse_qsl(parts.query, True)
            if pair[0] != 'download'
        ]
        query = urlencode([*query, ('download', '1')])
        return urlunsplit(parts._replace(query=query))
    return url
