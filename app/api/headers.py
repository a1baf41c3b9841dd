"""What every answer says: a request id, and what a browser may not, which has no business here beyond the pages."""

import secrets

EVERY = {
    # What is said to a key is for its holder alone.
    "Cache-Control": "no-store",
    # JSON loads and runs nothing, wherever somebody shows it. The page has a policy of its own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # For browsers that do not know `frame-ancestors`.
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Addresses hold ids.
    "Referrer-Policy": "no-referrer",
}
"""Names and values, unless a view sets another. Strict-Transport-Security is for the proxy that speaks TLS to say."""


def new_request_id() -> str:
    """What `X-Request-Id` says of one request, and each log line about it."""
    return f"req_{secrets.token_hex(16)}"
