"""Trust and random: what is joined with what, and that no sentence claims more than its interval."""

import pytest

from searches.models import Job, Subnet, Trial
from searches.selectors import trust

pytestmark = pytest.mark.django_db


def test_networks_with_both_accuracies_are_joined_by_their_key(sharing):
    search = sharing(method="spos", pairs=4)
    found = trust.trust(search)
    assert [b.kind for b in found.both] == ["derived", "random"] * 4
    for b in found.both:
        trial = search.trials.get(number=b.number)
        subnet = search.subnets.filter(key=trial.key).order_by("piece").last()
        assert (b.alone, b.inherited, b.n_macs) == (trial.accuracy, subnet.accuracy, trial.n_macs)
    assert (
        found.shared.n == 8 and found.picked == 4 and found.fact.startswith("8 networks have both accuracies; Spearm")
    )


def test_trials_of_another_number_of_epochs_and_unfinished_ones_are_not_compared(sharing):
    search = sharing(method="spos", pairs=3)
    Trial.objects.filter(search=search, number=1).update(fidelity=2)
    Trial.objects.filter(search=search, number=4).update(state=Trial.State.PRUNED)
    assert [b.number for b in trust.trust(search).both] == [2, 3, 5, 6]
    assert [p.derived for p in trust.against_random(search).pairs] == [5]


def test_networks_are_judged_by_the_mean_over_all_supernets_that_scored_them(sharing):
    search = sharing(method="spos", pairs=3)
    key = search.trials.get(number=1).key
    old = search.subnets.filter(key=key).first()
    Subnet.objects.create(
        search=search, job=old.job, supernet=2, piece=9, position=1, name=old.name, architecture=old.architecture,
        key=key, accuracy=0.123,
    )  # fmt: skip
    # those that one of the supernets did not score have no mean to compare
    (only,) = trust.trust(search).both
    assert (only.number, only.inherited) == (1, pytest.approx((old.accuracy + 0.123) / 2))


def test_networks_without_an_accuracy_under_shared_weights_are_said_to_be_missing(sharing, page):
    search = sharing(method="spos", pairs=3)
    assert trust.trust(search).missing == ""
    search.subnets.filter(key__in=search.trials.filter(number__in=[5, 6]).values("key")).update(accuracy=None)
    assert trust.trust(search).missing == "2 of 6 networks trained alone have no accuracy with shared weights."
    Job.objects.create(
        search=search, kind=Job.Kind.SCORE, state=Job.State.FAILED, payload={"piece": 9, "supernet": 1},
        reason="the weights of its supernet are gone.",
    )  # fmt: skip
    Trial.objects.filter(search=search, number=6).update(by="mira")  # nobody promised to score that
    found = trust.trust(search)
    assert found.missing == (
        "1 of 5 networks trained alone has no accuracy with shared weights: the weights of its supernet are gone."
    )
    assert found.shared.n == 4
    assert found.missing in page.get(f"/searches/{search.pk}/supernet/").content.decode()


def test_a_second_training_says_how_far_the_truth_repeats(sharing):
    once = trust.trust(sharing(method="spos", pairs=4))
    assert once.twice is None and "option “repeats”" in once.ceiling and "none was trained twice" in once.ceiling
    again = sharing(method="spos", pairs=4, repeats=1, seed=3)
    found = trust.trust(again)
    assert found.twice.n == 8 and found.shared.n == 8  # a network counts once, however often it was trained
    assert "no score can do better" in found.ceiling
    assert all(b.alone == again.trials.get(number=b.number).accuracy for b in found.both)
    assert trust.table(found)[0][0] == "Spearman" and len(trust.table(found)[0][1]) == 3


def test_two_networks_trained_twice_are_too_few(sharing):
    search = sharing(method="spos", pairs=1, repeats=1)
    found = trust.trust(search)
    assert found.n_twice == 2 and found.twice is None and "2 of the 3 networks" in found.ceiling


@pytest.mark.parametrize(("level", "words"), [(1.0, "better than chance"), (0.0, "not distinguishable from chance")])
def test_the_verdict_follows_the_interval(sharing, level, words):
    found = trust.trust(sharing(method="spos", pairs=12, trust=level, scores=30, seed=1))
    assert found.shared.n == 24 and words in found.caveat
    assert found.shared.spearman.above_zero == (level == 1.0)
    assert "counting multiply-adds alone gives" in found.caveat


def test_few_networks_carry_no_verdict(sharing):
    found = trust.trust(sharing(method="spos", pairs=2))
    assert found.caveat == "too few to say anything: 5 are needed" and "Spearman" not in found.fact
    nothing = trust.trust(sharing(stage="supernet"))
    assert not nothing.both and nothing.fact == "No network has both accuracies yet" and trust.table(nothing) == []


# -- against random --------------------------------------------------------------------------------
def levelled(search, **accuracies):
    """Sets accuracies by number: `n1=0.9`."""
    for name, accuracy in accuracies.items():
        Trial.objects.filter(search=search, number=int(name[1:])).update(accuracy=accuracy)


def test_a_difference_that_all_pairs_share_is_claimed(sharing):
    search = sharing(pairs=4)
    levelled(search, n1=0.91, n2=0.88, n3=0.92, n4=0.89, n5=0.90, n6=0.88, n7=0.93, n8=0.90)
    found = trust.against_random(search)
    assert [round(p.points, 1) for p in found.pairs] == [3.0, 3.0, 2.0, 3.0]
    assert found.mean.different and found.caveat == "the search beat random"
    assert found.fact.startswith("Over 4 pairs the derived networks are 2.8 points above")
    assert found.short == "derived 2.8 points above random [+2.0, +3.5] over 4 pairs"


def test_a_difference_that_pairs_do_not_share_is_not(sharing):
    search = sharing(pairs=3)
    levelled(search, n1=0.95, n2=0.85, n3=0.90, n4=0.92, n5=0.88, n6=0.89)
    found = trust.against_random(search)
    assert found.caveat == "not distinguishable from random" and found.short.endswith("not distinguishable")


def test_random_that_is_better_is_called_better(sharing):
    search = sharing(pairs=3)
    levelled(search, n1=0.80, n2=0.85, n3=0.81, n4=0.86, n5=0.79, n6=0.85)
    found = trust.against_random(search)
    assert found.caveat == "random was better" and "below" in found.fact


def test_one_pair_is_judged_on_its_validation_samples(sharing):
    found = trust.against_random(sharing(pairs=1))
    assert found.mean.low is None and found.one is not None and "samples only" in found.caveat
    assert "one pair" in found.short


def test_repeats_are_averaged_within_their_pair(sharing):
    search = sharing(pairs=2, repeats=1)
    levelled(search, n1=0.90, n2=0.80, n5=0.80, n6=0.80)
    pair = trust.against_random(search).pairs[0]
    assert (pair.derived, pair.random, pair.n_derived, pair.n_random) == (1, 2, 2, 2)
    assert pair.accuracy == pytest.approx(0.85) and pair.against == pytest.approx(0.80)


def test_before_the_first_pair(sharing):
    found = trust.against_random(sharing(stage="score"))
    assert found.pairs == () and found.short == "" and found.caveat == "the first pair is still to come"


def test_numbers_have_a_minus_and_two_decimals():
    assert trust.number(-0.1) == "−0.10" and trust.number(float("nan")) == "–"
    assert trust.signed(-0.44) == "−0.4" and trust.signed(0.04) == "0.0" and trust.signed(2.0) == "+2.0"
