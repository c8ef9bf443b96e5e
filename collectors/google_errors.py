"""Google's exceptions mapped into trial.errors, at the one seam where they appear."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from trial.errors import Denied, Malformed, NotFound, SourceError, Throttled, Unreachable

SIGN_IN = "Sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service account's key"


@contextlib.contextmanager
def mapped(*, where: str, grant: str, find: str) -> Iterator[None]:
    """
    Raises what the block raises as Fortnight's own errors, `from exc`.

    Args:
        where: the project, and the service within it.
        grant: what to do where permission is missing.
        find: what to do where the named thing does not exist.
    """
    from google.api_core import exceptions as google
    from google.auth import exceptions as auth

    try:
        yield
    except google.Unauthenticated as exc:
        raise Denied(f"credentials refused: {_said(exc)}", where=where, do=SIGN_IN) from exc
    except google.PermissionDenied as exc:
        raise Denied(f"permission denied: {_said(exc)}", where=where, do=grant) from exc
    except google.NotFound as exc:
        raise NotFound(f"not found: {_said(exc)}", where=where, do=find) from exc
    except google.TooManyRequests as exc:
        raise Throttled(
            f"quota used up: {_said(exc)}", where=where, do="Collect again later; other readers of this project share the quota"
        ) from exc
    except (google.ServerError, google.RetryError, google.Cancelled, google.Aborted) as exc:
        raise Unreachable(f"no answer: {_said(exc)}", where=where, do="Collect again later; nothing stored was changed") from exc
    except google.BadRequest as exc:
        if "page_token" in _said(exc) and "expired" in _said(exc):
            raise Unreachable(
                f"the list took longer than its page token lives: {_said(exc)}",
                where=where,
                do="Collect again later; nothing stored was changed",
            ) from exc
        raise Malformed(f"request refused: {_said(exc)}", where=where, do=find) from exc
    except google.GoogleAPIError as exc:
        raise SourceError(_said(exc), where=where) from exc
    except auth.TransportError as exc:
        raise Unreachable(
            f"cannot reach the sign-in service: {_said(exc)}", where=where, do="Check the network, then collect again"
        ) from exc
    except auth.GoogleAuthError as exc:
        raise Denied(f"no usable credentials: {_said(exc)}", where=where, do=SIGN_IN) from exc


def _said(exc: Exception) -> str:
    """The exception's own words in one line."""
    return " ".join(str(getattr(exc, "message", None) or exc).split()).rstrip(".")[:300]
