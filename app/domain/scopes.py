"""What an API key may be allowed to do."""

from typing import Literal, get_args

Scope = Literal["responses:read", "responses:write", "webhooks", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
DEFAULT_SCOPES: tuple[Scope, ...] = ("responses:read", "responses:write")
