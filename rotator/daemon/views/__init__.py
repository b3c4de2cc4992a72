"""What the daemon shows over HTTP, by what it is about: rotator.web.views says what is asked."""
