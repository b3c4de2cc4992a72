"""The commands as a person types them: each module declares, calls, and prints.

What a command does is in the modules beside this folder. They are imported when the command is
called, so that each command loads only what it needs; `rotator health` needs very little.
"""
