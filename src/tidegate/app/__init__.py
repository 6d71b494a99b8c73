"""The composition root: the only package that knows every part.

A gateway is one process, or a supervisor and its workers; ``run`` chooses. ``process`` is what all of them share.
"""
