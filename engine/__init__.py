"""The science: search spaces, strategies, schedules, evaluation, training, export. Knows no Django.

``engine.run(config)`` drives a whole search in this process; see `engine.run`.
"""
