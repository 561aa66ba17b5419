"""What can go wrong with a DICOMweb server, in words that name its address."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...checks import InputError
from .web_session import PASSWORD, TIMEOUT_SECONDS, TOKEN, USER


class NoAnswer(InputError):
    """A server cannot be reached, does not let us in, or is in trouble: later it may answer."""


@contextmanager
def in_words_of_user(url: str) -> Iterator[None]:
    """Turn what goes wrong with the network into an error that names the server.

    Raises:
        NoAnswer: the server cannot be reached, refuses the credentials or is in trouble.
        InputError: it has no such study, or does not speak DICOMweb.
    """
    from pydicom.errors import InvalidDicomError
    from requests import exceptions as network

    name = f"server '{url}'"
    try:
        yield
    except InputError:
        raise
    except network.HTTPError as error:
        answer: Any = error.response
        raise _refusal(name, answer.status_code, answer.reason) from error
    except network.SSLError as error:
        raise NoAnswer(
            f"{name} must have a certificate that can be verified: {_innermost(error)}. If its authority is your "
            "own, set REQUESTS_CA_BUNDLE to the file of its certificate."
        ) from error
    except network.Timeout as error:
        raise NoAnswer(
            f"{name} must answer within {TIMEOUT_SECONDS[1]:g} seconds, it did not. Try again later."
        ) from error
    except network.ChunkedEncodingError as error:
        raise NoAnswer(f"{name} broke off in the middle of an answer. Try again later.") from error
    except network.ConnectionError as error:
        raise NoAnswer(f"{name} cannot be reached: {_innermost(error)}. Check the address.") from error
    except (ValueError, KeyError, AttributeError, EOFError, InvalidDicomError) as error:
        raise InputError(
            f"{name} must speak DICOMweb, its answer is something else. Give the address of its DICOMweb service, "
            "such as https://pacs.example.org/dicom-web."
        ) from error


def _refusal(name: str, status: int, why: str) -> InputError:
    """Return the error that an answer of HTTP means."""
    if status in (401, 403):
        return NoAnswer(
            f"{name} must let csvd in, it answers {status} {why}. Set {USER} and {PASSWORD}, or {TOKEN}, or write name "
            "and password into a netrc file."
        )
    if status == 404:
        return InputError(
            f"{name} must be the address of a DICOMweb service, and have what was asked for: it answers 404 {why}. "
            "Check the address."
        )
    error = NoAnswer if status in (408, 429) or status >= 500 else InputError
    return error(f"{name} must do what it was asked for, it answers {status} {why}. Ask those who run the server.")


def _innermost(error: BaseException) -> str:
    """Return what the error that started a chain of the network's libraries says."""
    while True:
        inner = error.__cause__ or error.__context__ or getattr(error, "reason", None)
        inner = inner or next((one for one in error.args if isinstance(one, BaseException)), None)
        if not isinstance(inner, BaseException):
            return str(getattr(error, "strerror", None) or error)
        error = inner
