"""What follows from a space alone is worked out once per process: equal spaces on equal data share it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

P = ParamSpec("P")
T = TypeVar("T")


def once_per_space(
    kept: int = 4,
) -> Callable[[Callable[Concatenate[SearchSpace, P], T]], Callable[Concatenate[SearchSpace, P], T]]:
    """Remembers the answers of a function of a space (and hashable arguments), for so many spaces used last."""

    def decorate(
        function: Callable[Concatenate[SearchSpace, P], T],
    ) -> Callable[Concatenate[SearchSpace, P], T]:
        answers: OrderedDict[object, T] = OrderedDict()
        guard = Lock()

        @wraps(function)
        def remembered(space: SearchSpace, *args: P.args, **kwargs: P.kwargs) -> T:
            key = (space.description, args, tuple(sorted(kwargs.items())))
            with guard:
                if key in answers:
                    answers.move_to_end(key)
                    return answers[key]
            answer = function(space, *args, **kwargs)  # two threads may both work it out: they get the same
            with guard:
                answers[key] = answer
                while len(answers) > kept:
                    answers.popitem(last=False)
            return answer

        return cast("Callable[Concatenate[SearchSpace, P], T]", remembered)

    return decorate
