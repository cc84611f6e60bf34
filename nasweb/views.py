"""Logging in, and whether all is well."""

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from nasweb.accounts import login_token_consume
from nasweb.health import health
from nasweb.throttle import WINDOW_S, login_blocked, login_failed


class ThrottledAuthenticationForm(AuthenticationForm):
    """Django's form, which refuses to look at a password after too many wrong ones."""

    def clean(self) -> dict[str, object]:
        username = str(self.cleaned_data.get("username") or "")
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        if login_blocked(username, address):
            raise ValidationError(
                f"Too many wrong passwords. Try again in {WINDOW_S // 60} minutes.", code="throttled"
            )
        try:
            return super().clean()
        except ValidationError:
            login_failed(username, address)
            raise


@method_decorator(login_not_required, name="dispatch")
class ThrottledLoginView(LoginView):
    """The page that asks for name and password."""

    authentication_form = ThrottledAuthenticationForm
    redirect_authenticated_user = True


@login_not_required
@never_cache
@require_GET
def login_once(request: HttpRequest, token: str) -> HttpResponse:
    """Log in the person whom the one-time link was printed for; a used or old link says so."""
    user = login_token_consume(token)
    if user is None:
        if request.user.is_authenticated:  # the link is spent, but it has done its work: Back, reload
            return redirect(settings.LOGIN_REDIRECT_URL)
        return render(request, "registration/login_once_failed.html", status=403)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect(settings.LOGIN_REDIRECT_URL)


@login_not_required
@never_cache
@require_GET
async def healthz(_request: HttpRequest) -> JsonResponse:
    """200 and ``{"database": "ok", "redis": "ok", "workers": N}``, or 503 with the reasons; within two seconds."""
    state = await health()
    well = state["database"] == "ok" and state["redis"] == "ok"
    return JsonResponse(state, status=200 if well else 503)
