"""Addresses of the whole site; everything that is about searches lives in `searches.urls`."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

from nasweb import views

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("login/", views.ThrottledLoginView.as_view(), name="login"),
    path("login/once/<str:token>/", views.login_once, name="login-once"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # One door only: the admin's own login page would not count wrong passwords.
    path("admin/login/", login_not_required(RedirectView.as_view(pattern_name="login", query_string=True))),
    path("admin/", admin.site.urls),
    path("", include("searches.urls")),
]
