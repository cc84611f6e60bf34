"""Stands before the real torch on the path of stacks whose trainings are acted.

Their fork servers skip what cannot be imported, so that a worker that a test has killed is whole again within a second
or two, and not after the ten that two crowded cores take to load torch.
"""

raise ImportError("trainings are acted here: nothing may need torch")
