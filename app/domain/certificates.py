"""Certificates that an administrator hands us."""


def check_certificates(path: str) -> None:
    """Raise ValueError unless `path` is a file of certificates, or empty."""
    if not path:
        return
    # 10 ms, for a setting that few have.
    import ssl  # noqa: PLC0415 - see above

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise ValueError("must be a file that can be read, with certificates in PEM") from None
