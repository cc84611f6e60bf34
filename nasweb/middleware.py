"""Headers that every answer carries, static files included."""

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

Handler = Callable[[HttpRequest], HttpResponse] | Callable[[HttpRequest], Awaitable[HttpResponse]]


def _add(response: HttpResponse) -> HttpResponse:
    """`response` with the policy, unless a view has set one of its own."""
    response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
    return response


@sync_and_async_middleware
def content_security_policy(get_response: Handler) -> Handler:
    """Add the Content-Security-Policy of the settings to every answer."""
    if iscoroutinefunction(get_response):
        get_async = cast("Callable[[HttpRequest], Awaitable[HttpResponse]]", get_response)

        async def middleware_async(request: HttpRequest) -> HttpResponse:
            return _add(await get_async(request))

        return middleware_async
    get_sync = cast("Callable[[HttpRequest], HttpResponse]", get_response)

    def middleware(request: HttpRequest) -> HttpResponse:
        return _add(get_sync(request))

    return middleware
