"""botocore's exceptions mapped into trial.errors, at the one seam where they appear."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from trial.errors import Denied, Malformed, NotFound, SourceError, Throttled, Unreachable

SIGN_IN = "Sign in with `aws sso login` or `aws configure`, or set `profile` to one that is signed in"
ATTEMPTS = 5
LATER = "Collect again later; nothing stored was changed"
_CLOCK = re.compile(r"[Ss]ignature (expired|not yet current)|[Rr]equest.{0,20} time.{0,20}too (large|skewed)")

_NOT_FOUND = frozenset({"ResourceNotFoundException", "ResourceNotFound", "ValidationError.NotFound"})
_SIGN_IN = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "OptInRequired",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "Forbidden"})
_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "SlowDown",
    }
)


@contextlib.contextmanager
def mapped(*, where: str, grant: str, find: str) -> Iterator[None]:
    """
    Raises what the block raises as Fortnight's own errors, `from exc`.

    Args:
        where: the log group, function or endpoint, and its region.
        grant: what to do where permission is missing.
        find: what to do where the named thing does not exist.
    """
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    try:
        yield
    except boto.ClientError as exc:
        raise _from_answer(exc, where=where, grant=grant, find=find) from exc
    except (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.NoAuthTokenError,
        boto.TokenRetrievalError,
        boto.SSOError,
        boto.LoginError,
    ) as exc:
        raise Denied(f"no usable credentials: {_said(exc)}", where=where, do=SIGN_IN) from exc
    except (boto.ConnectionError, boto.HTTPClientError) as exc:
        raise Unreachable(f"no answer: {_said(exc)}", where=where, do="Check the network and `region`, then collect again") from exc
    except ResponseParserError as exc:
        raise Malformed(f"not an answer of this API: {_said(exc)}", where=where, do="Check `api_endpoint`") from exc
    except (AttributeError, TypeError) as exc:
        # What botocore's parsers raise on JSON of another shape; anywhere else it is a bug of ours.
        if [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(exc.__traceback__)][-1] != "botocore.parsers":
            raise
        raise Malformed(f"not an answer of this API: {_said(exc)}", where=where, do="Check `api_endpoint`") from exc
    except boto.BotoCoreError as exc:
        raise SourceError(_said(exc), where=where) from exc


def whole(send: Callable[[], dict[str, Any]], *, key: str, where: str) -> dict[str, Any]:
    """
    The answer of `send`, which every whole one has `key` in; asked again where its body was cut off, which the client does not
    notice.

    Raises:
        Unreachable: it was cut off every time. Malformed: it is not this API's.
    """
    for attempt in range(ATTEMPTS):
        page = send()
        about = page.get("ResponseMetadata")
        if key in page or page.get("nextToken"):
            if attempt and about:
                about["RetryAttempts"] = about.get("RetryAttempts", 0) + attempt
            return page
        failure = no_answer(page, where=where)
        if not isinstance(failure, Unreachable):
            break
    raise failure


def no_answer(page: Mapping[str, Any], *, where: str) -> SourceError:
    """
    What a page is that lacks what every page of its call has. The client takes any 200 for an answer: without this a web page,
    or a body cut in the middle, would read as a day on which nothing happened.
    """
    kind = str(page.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", ""))
    if kind.startswith("application/x-amz-json"):
        return Unreachable("no answer: its body was cut off", where=where, do=LATER)
    return Malformed("not an answer of this API", where=where, do="Check `api_endpoint`")


def _from_answer(exc: Exception, *, where: str, grant: str, find: str) -> SourceError:
    answer = getattr(exc, "response", {})
    error = answer.get("Error", {})
    code = str(error.get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # A refused signature is answered with the whole request it was computed over, session token and all.
    message = str(error.get("Message") or exc).split("The Canonical String", 1)[0]
    said = " ".join(message.split()).rstrip(".")[:300]
    if code in _NOT_FOUND:
        return NotFound(f"not found: {said}", where=where, do=find)
    if code in _SIGN_IN and _CLOCK.search(said):
        return Denied(f"the signature's time was refused: {said}", where=where, do="Set this machine's clock, which is minutes off")
    if code in _SIGN_IN:
        return Denied(f"credentials refused: {said}", where=where, do=SIGN_IN)
    if code in _DENIED or (status == 403 and code not in _THROTTLED):
        return Denied(f"permission denied: {said}", where=where, do=grant)
    if code in _THROTTLED or status == 429:
        return Throttled(f"too many calls a second: {said}", where=where, do="Collect again later; other readers share the quota")
    if "nextToken" in said and "expired" in said:
        return Unreachable(f"the list took longer than its page token lives: {said}", where=where, do=LATER)
    if status >= 500 or code in ("ServiceUnavailableException", "InternalFailure", "InternalServerError", "RequestTimeout"):
        return Unreachable(f"the service failed: {said}", where=where, do=LATER)
    if status and status < 400:
        return Malformed(f"not an answer of this API: {said}", where=where, do="Check `api_endpoint`")
    return SourceError(f"{code}: {said}", where=where)


def _said(exc: Exception) -> str:
    return " ".join(str(exc).split()).rstrip(".")[:300]
