"""The one settings file. Everything a person can set is read here from NASWEB_* variables; README lists them."""

import hashlib
import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from nasweb.addresses import (
    channel_prefix,
    check_redis_url,
    database_from_url,
    embedded_socket,
    sqlite_database,
)
from nasweb.env import env_bool, env_float, env_int, env_list, env_path, env_str
from nasweb.secret import generated_secret, is_loopback, production_problems

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env_path("NASWEB_DATA_DIR", BASE_DIR / "var")
TEST_DATA = env_path("NASWEB_TEST_DATA", BASE_DIR.parent / "shared" / "data")

# --- Who may reach it ---------------------------------------------------------------------------------------------
HOST = env_str("NASWEB_HOST", "127.0.0.1")
PORT = env_int("NASWEB_PORT", 8000, minimum=1, maximum=65535)
DEBUG = env_bool("NASWEB_DEBUG", False)
_given_hosts = env_list("NASWEB_ALLOWED_HOSTS", [])
# This machine's own names always work: the supervisor asks for /healthz by them.
ALLOWED_HOSTS = [*_given_hosts, "localhost", "127.0.0.1", "[::1]"]
# Anything that more than this machine can reach is production, whether it says so or not.
PRODUCTION = env_bool("NASWEB_PRODUCTION", False) or not all(map(is_loopback, [HOST, *ALLOWED_HOSTS]))
_given_secret = env_str("NASWEB_SECRET_KEY")
if PRODUCTION:
    _problems = production_problems(
        given_secret=_given_secret, debug=DEBUG, given_hosts=_given_hosts, bind=HOST
    )
    if _problems:
        raise ImproperlyConfigured("Not safe to serve to others:\n- " + "\n- ".join(_problems))
SECRET_KEY = _given_secret or generated_secret(DATA_DIR)
HTTPS = env_bool("NASWEB_HTTPS", PRODUCTION)

# --- Data: database, queue, files ---------------------------------------------------------------------------------
DATABASE_URL = env_str("NASWEB_DATABASE_URL")
DATABASES = {
    "default": (
        database_from_url(DATABASE_URL)
        if DATABASE_URL
        else sqlite_database(DATA_DIR / "db.sqlite3", test_path=DATA_DIR / "test.sqlite3")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_SOCKET = embedded_socket(DATA_DIR)
REDIS_EMBEDDED = not env_str("NASWEB_REDIS_URL")
REDIS_URL = f"unix://{REDIS_SOCKET}" if REDIS_EMBEDDED else check_redis_url(env_str("NASWEB_REDIS_URL"))
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": channel_prefix(REDIS_URL)},
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "nasweb.static_files.AppFinder",
    "nasweb.static_files.VendorFinder",
]
# Hashed names and compressed copies from STATIC_ROOT (`manage.py up` collects them); off: straight from the sources.
STATIC_MANIFEST = env_bool("NASWEB_STATIC_MANIFEST", not DEBUG)
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not STATIC_MANIFEST
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
MEDIA_ROOT = DATA_DIR / "storage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "nasweb.static_files.HashedCompressedStorage"
            if STATIC_MANIFEST
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}

# --- Work: leases, heartbeats, reaping (seconds) ------------------------------------------------------------------
LEASE_S = env_float("NASWEB_LEASE_S", 60, minimum=1, maximum=3600)
HEARTBEAT_S = env_float("NASWEB_HEARTBEAT_S", 5, minimum=0.1, maximum=600)
REAP_S = env_float("NASWEB_REAP_S", 5, minimum=0.1, maximum=600)
PROGRESS_S = env_float("NASWEB_PROGRESS_S", 0.5, minimum=0.05, maximum=60)
# Decisions between two snapshots of a search's conductor; a restart replays the rest of its log.
SNAPSHOT_EVERY = env_int("NASWEB_SNAPSHOT_EVERY", 200, minimum=1, maximum=1_000_000)
# A child that was told to stop and did not is killed after so long.
GRACE_S = env_float("NASWEB_GRACE_S", 8, minimum=0.1, maximum=600)
# A checkpoint is uploaded at least so often while a rung is trained.
CHECKPOINT_S = env_float("NASWEB_CHECKPOINT_S", 30, minimum=0.1, maximum=3600)
# What all checkpoints may take in the storage; above it those of the lowest-ranked resting trials go.
CHECKPOINT_QUOTA_MB = env_float("NASWEB_CHECKPOINT_QUOTA_MB", 20_000, minimum=0.001, maximum=1e9)
if HEARTBEAT_S * 2 > LEASE_S:
    raise ImproperlyConfigured(
        f"NASWEB_HEARTBEAT_S ({HEARTBEAT_S:g}) must be at most half of NASWEB_LEASE_S ({LEASE_S:g}): "
        "one lost heartbeat must not cost a worker its job."
    )

# --- Django -------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "channels",
    "django_htmx",
    "searches",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "nasweb.middleware.content_security_policy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "nasweb.urls"
ASGI_APPLICATION = "nasweb.asgi.application"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

# --- Logging in ---------------------------------------------------------------------------------------------------
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
LOCAL_USERNAME = env_str("NASWEB_LOCAL_USER", "local")
LOGIN_ONCE_MAX_AGE_S = 12 * 3600
# Cookies know no ports: without a name of its own, a second stack on this machine would log the first one's people out.
_cookie_suffix = hashlib.sha256(os.fsencode(DATA_DIR)).hexdigest()[:8]
SESSION_COOKIE_NAME = f"nasweb_session_{_cookie_suffix}"
CSRF_COOKIE_NAME = f"nasweb_csrf_{_cookie_suffix}"
SESSION_COOKIE_AGE = 30 * 24 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_TRUSTED_ORIGINS = [
    f"https://{'*' if host.startswith('.') else ''}{host}" for host in _given_hosts if HTTPS and host != "*"
]
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- What browsers are told ---------------------------------------------------------------------------------------
# Plotly needs inline styles; everything else is strict. See nasweb/middleware.py.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Logs ---------------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env_str("NASWEB_LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Two lines for every task: thousands a search, and each says less than the search's own events.
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
