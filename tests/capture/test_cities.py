import pytest

from centtrack.capture.cities import SMALLEST, fold, population


@pytest.mark.parametrize(
    ("country", "city", "at_least", "at_most"),
    [
        ("KZ", "Almaty", 1_000_000, 3_000_000),
        ("KZ", "Алматы", 1_000_000, 3_000_000),
        ("KZ", "Astana", 300_000, 3_000_000),
        ("KZ", "Öskemen", 150_000, 600_000),
        ("DE", "München", 1_000_000, 2_000_000),
        ("GB", "London", 5_000_000, 10_000_000),
        ("US", "Springfield", SMALLEST, 50_000),  # of several of one name the smallest
        # not found: as good as empty
        ("KZ", "No Such Aul", 0, 0),
        ("FR", "Almaty", 0, 0),
        ("", "", 0, 0),
    ],
)
def test_population(country, city, at_least, at_most):
    assert at_least <= population(country, city) <= at_most


@pytest.mark.parametrize(
    ("name", "folded"),
    [("Saint-Étienne", "saintetienne"), ("  New York ", "newyork"), ("Öskemen", "oskemen"), ("Семей", "семеи")],
)
def test_names_are_compared_without_case_accents_and_punctuation(name, folded):
    assert fold(name) == folded
