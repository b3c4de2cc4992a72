"""The pages for people, as typed HTML: htpy escapes whatever is put into it.

The server makes them whole, without any script. `static/rotator.js` only requests the same page
again and replaces the parts that are marked as live.
"""
