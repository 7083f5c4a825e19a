"""What goes wrong with names and downloads."""


class ZooError(ValueError):
    """A name or a row of the catalogue that does not give what is asked."""


class DownloadError(ZooError):
    """A file that cannot be had: which, why, and what to do."""
