"""Which ledger an app's choices are handed in to."""

from centtrack.consent.ledger.ledger import Ledger
from centtrack.consent.ledger.place import default_place
from consent_site import Site


def test_another_configuration_begins_no_new_ledger(tmp_path):
    """Each site has a journal of its own, as an app has after a sink was added."""
    for name in ("before", "after"):
        site = Site(tmp_path / name)
        site.choose("accept")
        site.close()
    assert len(list(Ledger(default_place()).records())) == 2


def test_an_app_that_changes_its_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = default_place()
    site = Site(tmp_path / "site")
    monkeypatch.chdir("/")
    site.choose("accept")
    site.close()
    assert len(list(Ledger(place).records())) == 1
