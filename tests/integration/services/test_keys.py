"""API keys: issued, verified, rotated, revoked, expired; and how little that asks of the database."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.domain.errors import ExpiredKeyError, InvalidKeyError, InvalidRequestError, NotFoundError, UnavailableError
from app.domain.ids import new_id
from app.domain.rates import KeyLimits, Overrides, Rate
from app.domain.scopes import DEFAULT_SCOPES
from app.domain.secrets import new_key
from app.services.keys import Caller, KeyService
from app.settings import Settings
from tests.processes import free_port
from tests.statements import recorded

CACHE_SECONDS = 3.0
LIMITS = KeyLimits(Rate(10, 60), Rate(100, 60), max_active=5, max_queued=4)


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(database: Database, clock: Clock) -> KeyService:
    return KeyService(database, CACHE_SECONDS, LIMITS, clock)


@pytest.fixture
def forgetful(database: Database) -> KeyService:
    """Asks the database each time."""
    return KeyService(database, 0, LIMITS)


def execute(database: Database, statement: str, key_id: UUID) -> Any:
    with database.transaction() as connection:
        result = connection.execute(text(statement), {"id": key_id})
        return result.scalar_one() if result.returns_rows else None


def last_used_at(database: Database, key_id: UUID) -> Any:
    return execute(database, "SELECT last_used_at FROM api_keys WHERE id = :id", key_id)


def test_a_new_key_is_good_for_its_scopes(service: KeyService) -> None:
    record, key = service.create("mine", ["responses:read"])
    caller = service.verify(key)
    assert (caller.api_key_id, caller.scopes) == (record.id, frozenset({"responses:read"}))
    assert (record.name, record.state) == ("mine", "active")


def test_neither_the_key_nor_a_part_that_helps_is_stored(service: KeyService, database: Database) -> None:
    record, key = service.create("mine", DEFAULT_SCOPES)
    stored = execute(database, "SELECT s::text FROM api_key_secrets AS s WHERE api_key_id = :id", record.id)
    assert key[-4:] in stored
    assert key[-5:] not in stored
    assert key.removeprefix("sk-simmer-")[:6] not in stored


@pytest.mark.parametrize("scopes", [[], ["responses:read", "everything"]])
def test_scopes_that_do_not_exist_are_refused(service: KeyService, scopes: list[str]) -> None:
    with pytest.raises(InvalidRequestError, match="responses:read"):
        service.create("mine", scopes)


def test_a_key_that_cannot_be_ours_costs_no_question(clock: Clock) -> None:
    down = Database(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none"))
    service = KeyService(down, CACHE_SECONDS, LIMITS, clock)
    good = new_key()
    wrong_checksum = good[:-1] + ("a" if good[-1] != "a" else "b")
    for key in ("", "sk-simmer-", "sk-other-" + good[9:], good[:-1], good + "x", wrong_checksum):
        with pytest.raises(InvalidKeyError):
            service.verify(key)
    with pytest.raises(UnavailableError):
        service.verify(good)


def test_an_unknown_key_is_refused_and_not_remembered(service: KeyService, database: Database) -> None:
    key = new_key()
    with recorded(database) as sent:
        for count in (1, 2):
            with pytest.raises(InvalidKeyError):
                service.verify(key)
            assert len(sent) == count


def test_a_verified_key_is_trusted_for_as_long_as_the_cache_says(
    service: KeyService, database: Database, clock: Clock
) -> None:
    _, key = service.create("mine", DEFAULT_SCOPES)
    caller = service.verify(key)
    with recorded(database) as sent:
        clock.now += CACHE_SECONDS * 0.79
        assert service.verify(key) == caller
        assert sent == []
        clock.now += CACHE_SECONDS * 0.02
        assert service.verify(key) == caller
        assert sent


def test_one_request_looks_a_key_up_again_for_all(
    service: KeyService, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, key = service.create("mine", DEFAULT_SCOPES)
    caller = service.verify(key)
    looked_up = []

    def look_up(_: object, wanted: bytes) -> Caller:
        looked_up.append(wanted)
        if len(looked_up) == 1:
            # While the database has not answered another request comes, and goes by what is known.
            assert service.verify(key) == caller
        return caller

    monkeypatch.setattr(KeyService, "_look_up", look_up)
    clock.now += CACHE_SECONDS * 0.9
    service.verify(key)
    assert len(looked_up) == 1
    # Once it is out of the cache nobody is let in unasked, whoever else is asking.
    clock.now += CACHE_SECONDS
    service.verify(key)
    assert len(looked_up) == 2


def test_a_revoked_key_is_refused_within_the_cache_time(service: KeyService, clock: Clock) -> None:
    record, key = service.create("mine", DEFAULT_SCOPES)
    service.verify(key)
    service.revoke(record.id)
    clock.now += CACHE_SECONDS
    with pytest.raises(InvalidKeyError) as refused:
        service.verify(key)
    assert not isinstance(refused.value, ExpiredKeyError)
    with pytest.raises(NotFoundError):
        service.revoke(record.id)
    with pytest.raises(NotFoundError):
        service.rotate(record.id, overlap=60)


def test_an_expired_key_is_told_so(forgetful: KeyService, database: Database) -> None:
    record, key = forgetful.create("mine", DEFAULT_SCOPES, lifetime=3600)
    forgetful.verify(key)
    execute(database, "UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = :id", record.id)
    with pytest.raises(ExpiredKeyError):
        forgetful.verify(key)
    assert {listed.state for listed in forgetful.every() if listed.id == record.id} == {"expired"}


def test_after_a_rotation_both_secrets_are_good_until_the_overlap_ends(
    forgetful: KeyService, database: Database
) -> None:
    record, old = forgetful.create("mine", DEFAULT_SCOPES)
    _, new = forgetful.rotate(record.id, overlap=3600)
    assert forgetful.verify(old) == forgetful.verify(new)
    execute(
        database,
        "UPDATE api_key_secrets SET expires_at = expires_at - interval '1 hour' WHERE api_key_id = :id",
        record.id,
    )
    assert forgetful.verify(new).api_key_id == record.id
    with pytest.raises(ExpiredKeyError):
        forgetful.verify(old)


def test_a_rotation_without_overlap_ends_the_old_secret_at_once(forgetful: KeyService) -> None:
    record, old = forgetful.create("mine", DEFAULT_SCOPES)
    _, new = forgetful.rotate(record.id, overlap=0)
    assert forgetful.verify(new).api_key_id == record.id
    with pytest.raises(ExpiredKeyError):
        forgetful.verify(old)


def test_a_second_rotation_never_prolongs_what_the_first_has_ended(forgetful: KeyService) -> None:
    record, first = forgetful.create("mine", DEFAULT_SCOPES)
    _, second = forgetful.rotate(record.id, overlap=0)
    forgetful.rotate(record.id, overlap=3600)
    assert forgetful.verify(second).api_key_id == record.id
    with pytest.raises(ExpiredKeyError):
        forgetful.verify(first)


def test_a_revocation_ends_every_secret(forgetful: KeyService) -> None:
    record, old = forgetful.create("mine", DEFAULT_SCOPES)
    _, new = forgetful.rotate(record.id, overlap=3600)
    forgetful.revoke(record.id)
    for key in (old, new):
        with pytest.raises(InvalidKeyError):
            forgetful.verify(key)


def test_a_key_that_never_was_cannot_be_rotated_or_revoked(service: KeyService) -> None:
    with pytest.raises(NotFoundError):
        service.rotate(new_id(), overlap=0)
    with pytest.raises(NotFoundError):
        service.revoke(new_id())


def test_the_last_use_is_noted_once_a_minute(forgetful: KeyService, database: Database) -> None:
    record, key = forgetful.create("mine", DEFAULT_SCOPES)
    assert last_used_at(database, record.id) is None
    forgetful.verify(key)
    first = last_used_at(database, record.id)
    assert first
    forgetful.verify(key)
    assert last_used_at(database, record.id) == first
    execute(database, "UPDATE api_keys SET last_used_at = now() - interval '61 s' WHERE id = :id", record.id)
    forgetful.verify(key)
    assert last_used_at(database, record.id) > first


def test_a_refused_key_was_not_used(forgetful: KeyService, database: Database) -> None:
    record, key = forgetful.create("mine", DEFAULT_SCOPES)
    forgetful.revoke(record.id)
    with pytest.raises(InvalidKeyError):
        forgetful.verify(key)
    assert last_used_at(database, record.id) is None


def test_keys_are_listed_oldest_first(service: KeyService) -> None:
    made = [service.create(f"key {number}", DEFAULT_SCOPES)[0] for number in range(3)]
    service.revoke(made[1].id)
    listed = [record for record in service.every() if record.id in {m.id for m in made}]
    assert [replace(record, revoked_at=None) for record in listed] == made
    assert [record.state for record in listed] == ["active", "revoked", "active"]


def test_a_key_may_do_what_the_settings_say(service: KeyService) -> None:
    record, key = service.create("mine", DEFAULT_SCOPES)
    assert record.overrides == Overrides()
    assert service.verify(key).limits == LIMITS


def test_a_key_has_the_limits_it_was_created_with(service: KeyService) -> None:
    own = Overrides(create_rate=Rate(7, 20), max_queued=1)
    record, key = service.create("mine", DEFAULT_SCOPES, overrides=own)
    assert record.overrides == own
    assert service.verify(key).limits == KeyLimits(Rate(7, 20), LIMITS.poll_rate, LIMITS.max_active, 1)
    assert [listed.overrides for listed in service.every() if listed.id == record.id] == [own]


def test_changed_limits_hold_once_the_cache_ends(service: KeyService, clock: Clock) -> None:
    record, key = service.create("mine", DEFAULT_SCOPES)
    service.verify(key)
    changed = service.limit(record.id, Overrides(poll_rate=Rate(1, 1)), keep=True)
    assert changed == replace(record, overrides=Overrides(poll_rate=Rate(1, 1)), last_used_at=changed.last_used_at)
    assert service.verify(key).limits == LIMITS
    clock.now += CACHE_SECONDS
    assert service.verify(key).limits == replace(LIMITS, poll_rate=Rate(1, 1))


def test_limits_that_are_not_named_are_kept_or_go_back_to_the_settings(service: KeyService) -> None:
    every = Overrides(Rate(1, 1), Rate(2, 2), 3, 4)
    record, _ = service.create("mine", DEFAULT_SCOPES, overrides=every)
    kept = service.limit(record.id, Overrides(max_active=9), keep=True)
    assert kept.overrides == replace(every, max_active=9)
    assert service.limit(record.id, Overrides(max_queued=8), keep=False).overrides == Overrides(max_queued=8)
    assert service.limit(record.id, Overrides(), keep=False).overrides == Overrides()


def test_a_change_of_one_key_leaves_the_others(service: KeyService) -> None:
    mine, other = (service.create(name, DEFAULT_SCOPES)[0] for name in ("mine", "other"))
    service.limit(mine.id, Overrides(max_active=1), keep=True)
    assert [listed for listed in service.every() if listed.id == other.id] == [other]


def test_limits_that_can_not_be_changed(service: KeyService) -> None:
    record, _ = service.create("mine", DEFAULT_SCOPES)
    with pytest.raises(InvalidRequestError, match="Name a limit"):
        service.limit(record.id, Overrides(), keep=True)
    with pytest.raises(NotFoundError):
        service.limit(new_id(), Overrides(max_active=1), keep=True)
    service.revoke(record.id)
    with pytest.raises(NotFoundError):
        service.limit(record.id, Overrides(max_active=1), keep=False)
