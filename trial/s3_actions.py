"""Which IAM action S3 missed, read off Arrow's words for a call that was refused."""

from __future__ import annotations

import re

_OPERATION = re.compile(r"AWS Error ACCESS_DENIED during (\w+) operation")
# Finding a bucket out, and a key, is listing and reading; an upload in parts is one of putting, even to give it up.
_ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}


def missing(text: str) -> str | None:
    """The action to grant; None where nothing of the kind was refused."""
    found = _OPERATION.search(text)
    return _ACTIONS.get(found[1], f"what {found[1]} needs") if found else None
