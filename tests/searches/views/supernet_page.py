"""The pages of a weight-sharing search, and what a person reads of them."""

import html
import re

from django.urls import reverse


def text_of(answer):
    """What a person reads of an answer."""
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", answer)))


def address(search, name="supernet", **query):
    part = "&".join(f"{k}={v}" for k, v in query.items())
    return reverse(f"searches:{name}", args=[search.pk]) + (f"?{part}" if part else "")


def figure(page, search, name, **query):
    part = "&".join(f"{k}={v}" for k, v in query.items())
    return page.get(reverse("searches:figure", args=[search.pk, name]) + f"?{part}")


def parts(page, search, tab="supernet"):
    answer = page.get(reverse("searches:parts", args=[search.pk, tab]))
    return {name: text_of(body) for name, body in answer.json()["parts"].items()}
