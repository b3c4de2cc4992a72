"""requests without the parts that nobody here needs."""

from __future__ import annotations

import sys
import warnings

with warnings.catch_warnings():
    # requests would load 3 MiB (measured) to guess the encoding of text; here, none is guessed.
    warnings.simplefilter("ignore")
    _guesser = sys.modules.get("charset_normalizer")
    sys.modules.setdefault("charset_normalizer", None)  # type: ignore[arg-type] # None: not to be imported
    import requests

    if _guesser is None:
        del sys.modules["charset_normalizer"]

__all__ = ["requests"]
