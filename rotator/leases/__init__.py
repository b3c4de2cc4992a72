"""Credentials that a source makes for us: when each is renewed, replaced and revoked."""
