"""Saved spaces: versions that never change, links that cannot be guessed, nobody else's."""

from __future__ import annotations

import pytest
from django.http import Http404

from searches.forms.spaces import canvas
from searches.models import Search, Space, SpaceVersion
from searches.selectors import spaces as read
from searches.services import spaces as services
from searches.services.writing import Rejected
from tests.factories import search_make, user_make

pytestmark = pytest.mark.django_db


def state(**options):
    """A checked state of `layers` on the digits, in full."""
    return canvas({"space": {"name": "layers", **options}, "data": {"name": "digits"}}).full


def test_saving_makes_a_version_only_when_something_changed():
    owner = user_make()
    first = services.space_create(owner=owner, name=" Small ", state=state(depth=[2, 3]), size="12")
    assert (first.number, first.space.name, first.family, first.size) == (1, "Small", "layers", "12")
    same, new = services.version_create(space=first.space, state=state(depth=[2, 3]))
    assert (same.pk, new) == (first.pk, False)
    second, new = services.version_create(space=first.space, state=state(depth=[2]), note="shallow")
    assert (second.number, new, second.note) == (2, True, "shallow")
    first.refresh_from_db()
    assert first.config["depth"] == [2, 3]
    assert read.version_of(first.space).pk == second.pk
    assert read.version_of(first.space, 1).pk == first.pk
    with pytest.raises(Http404):
        read.version_of(first.space, 3)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_space_needs_a_name_that_fits(name):
    with pytest.raises(Rejected):
        services.space_create(owner=user_make(), name=name, state=state())
    assert not Space.objects.exists()


def test_nobody_sees_anothers_space():
    version = services.space_create(owner=user_make(), name="Mine", state=state())
    other = user_make()
    with pytest.raises(Http404):
        read.space_get(user=other, id=version.space_id)
    assert list(read.spaces_of(other)) == []
    assert read.space_rows(user=other) == []
    with pytest.raises(Http404):
        read.space_get(user=version.space.owner, id=2**70)


def test_a_link_is_long_stays_the_same_and_can_be_taken_back():
    version = services.space_create(owner=user_make(), name="Mine", state=state(depth=[2]))
    token = services.space_share(space=version.space)
    assert len(token) >= 32
    assert services.space_share(space=version.space) == token
    assert read.shared_get(token).pk == version.pk
    copy = services.version_copy(version=read.shared_get(token), owner=user_make())
    assert (copy.space.name, copy.number, copy.config) == ("Mine", 1, version.config)
    assert "copied from version 1" in copy.note
    services.space_unshare(space=version.space)
    for wrong in (token, "", "x" * 32):
        with pytest.raises(Http404):
            read.shared_get(wrong)
    assert services.space_share(space=version.space) != token


def test_deleting_a_space_leaves_its_searches():
    search = search_make(start=False)
    version = services.space_create(owner=search.owner, name="Mine", state=state())
    Search.objects.filter(pk=search.pk).update(space_version=version)
    (row,) = read.space_rows(user=search.owner)
    assert (row.n_searches, row.n_versions) == (1, 1)
    services.space_delete(space=version.space)
    search.refresh_from_db()
    assert search.space_version is None and not SpaceVersion.objects.exists()
    assert search.config["space"]["name"] == "layers"


def test_the_list_takes_two_queries(django_assert_num_queries):
    owner = user_make()
    for i in range(5):
        version = services.space_create(owner=owner, name=f"Space {i}", state=state(depth=[1 + i]))
        services.version_create(space=version.space, state=state(depth=[7]))
    with django_assert_num_queries(2):
        rows = read.space_rows(user=owner)
    assert [r.space.name for r in rows] == [f"Space {i}" for i in (4, 3, 2, 1, 0)]
    assert {r.n_versions for r in rows} == {2}


@pytest.mark.parametrize(
    ("size", "exact", "words"),
    [
        (15_625, True, "15,625"),
        (10**15 - 1, True, "999,999,999,999,999"),
        (9_148_385_185_077_657_600, True, "about 9.14 × 10¹⁸"),
        (10**30, False, "at most 1.00 × 10³⁰"),
        (12 * 10**4998, True, "about 1 × 10⁴⁹⁹⁹"),
        ("", True, "–"),
    ],
    ids=["exact", "fifteen digits", "long", "a bound", "longer than Python prints", "unknown"],
)
def test_sizes_are_read_by_people(size, exact, words):
    assert read.size_words(size, exact) == words
    if isinstance(size, int):
        assert read.size_words(read.size_text(size), exact) == words
