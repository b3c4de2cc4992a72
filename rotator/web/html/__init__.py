"""The pages for people, as typed HTML: htpy escapes whatever is put into it.

Made on the server, whole, without any script; `static/rotator.js` only asks for the same page again
and takes over the parts marked as live.
"""
