"""How a DICOMweb server is spoken to: credentials of the environment, verified certificates, an end to waiting."""

import os
from typing import Any
from urllib.parse import urlsplit

from ...checks import InputError

USER, PASSWORD, TOKEN = "CSVD_DICOMWEB_USER", "CSVD_DICOMWEB_PASSWORD", "CSVD_DICOMWEB_TOKEN"
"""Environment variables with credentials; without any, those of a netrc file are taken."""
TIMEOUT_SECONDS = (10.0, 120.0)
"""To connect, and between two parts of an answer: an archive may have to fetch a study from its slow storage."""


def open_session() -> Any:
    """Return a session of requests: with credentials, if there are any, and with :data:`TIMEOUT_SECONDS`.

    Raises:
        InputError: one of name and password is missing.
    """
    import requests
    from requests.adapters import HTTPAdapter

    class PatientAdapter(HTTPAdapter):
        """Wait no longer than agreed: requests waits for ever."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            return super().send(request, *args, **{**kwargs, "timeout": TIMEOUT_SECONDS})

    session = requests.Session()
    session.auth = _credentials()
    for scheme in ("http://", "https://"):
        session.mount(scheme, PatientAdapter())
    return session


def _credentials() -> Any:
    """Return what signs a request, None for what a netrc file has."""
    name, password, token = (os.environ.get(variable) for variable in (USER, PASSWORD, TOKEN))
    if token:

        def bear(request: Any) -> Any:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return bear
    if bool(name) != bool(password):
        missing = PASSWORD if name else USER
        raise InputError(f"the environment must hold {USER} and {PASSWORD}, it has no {missing}. Set both, or neither.")
    return (name, password) if name else None


def checked_url(url: str) -> str:
    """Return an address that can be used.

    Raises:
        InputError: it is none, or holds a password.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or True)
    except ValueError:  # a port that is no number
        known = False
    if known and (parts.username is not None or parts.password is not None):
        where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise InputError(
            f"server '{where}' must be given without name and password, which others see in the list of processes. Set "
            f"{USER} and {PASSWORD}, or write them into a netrc file."
        )
    if not known or parts.query or parts.fragment:
        raise InputError(
            f"server '{url}' must be the address of a DICOMweb service. Write it like "
            "https://pacs.example.org/dicom-web."
        )
    return url
