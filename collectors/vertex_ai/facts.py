"""The one thing a Vertex AI log says about a request: the line its handler printed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerLine:
    """
    Args:
        at: when the container printed it, which is at the end of its request.
        replica_id: the replica's label, as the platform puts it on container lines.
        fields: as collectors.lines.handler_fields returns them.
    """

    kind: ClassVar[str] = "handler_line"
    at: datetime
    replica_id: str | None
    fields: dict[str, Any]
