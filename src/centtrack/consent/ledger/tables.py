"""The ledger's tables, the same in SQLite and PostgreSQL, and what is done with them inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from centtrack.consent.ledger.chain import FIRST, Head, Row, Seal, digest_of, link_of, new_salt
from centtrack.consent.ledger.place import NoLedgerError
from centtrack.consent.ledger.records import (
    ConsentRecord,
    ErasureRecord,
    Record,
    ShownText,
    current_minute,
    write_record,
)
from centtrack.errors import LedgerError

VERSION = 1
_CREATION_LOCK = 0x63656E7474636C67  # "centtclg"; given back with the transaction

_metadata = sa.MetaData()
_Raw = sa.types.NullType()
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _table(name: str, *columns: sa.Column[object] | sa.CheckConstraint) -> sa.Table:
    return sa.Table(f"centtrack_consent_{name}", _metadata, *columns)


_meta = _table("meta", sa.Column("version", sa.Integer, primary_key=True))
_head = _table(
    "head",
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("number", _Number, nullable=False),
    sa.Column("link", sa.Text, nullable=False),
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("mac", sa.Text),
)
_entry = _table(
    "entry",
    sa.Column("number", _Number, primary_key=True, autoincrement=False),
    sa.Column("receipt", sa.Text, index=True),
    sa.Column("replaces", sa.Text, index=True),
    sa.Column("body", sa.Text),
    sa.Column("salt", sa.LargeBinary),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
)
_text = _table(
    "text",
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("language", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
_EXISTS = {
    "sqlite": sa.text("select 1 from sqlite_master where name = 'centtrack_consent_meta'"),
    # By a query of the catalogue: `to_regclass` could remember that there was none, while another made it.
    "postgresql": sa.text(
        "select 1 from pg_catalog.pg_class where relname = 'centtrack_consent_meta' and pg_table_is_visible(oid)"
    ),
}


def prepare(connection: sa.Connection, *, may_create: bool) -> None:
    """Make sure that the tables are there, and of a version that is known.

    Raises:
        LedgerError: if they aren't.
    """
    if not _exist(connection):
        if not may_create:
            raise NoLedgerError("there is no ledger yet: no choice was recorded")
        _create(connection)
    version = connection.scalar(sa.select(_meta.c.version))
    if version != VERSION:
        raise LedgerError(f"its tables have version {version}, this centtrack knows {VERSION}: update centtrack")


def _exist(connection: sa.Connection) -> bool:
    return connection.scalar(_EXISTS[connection.dialect.name]) is not None


def _create(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's transaction has the whole file already
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CREATION_LOCK)))
        if _exist(connection):
            return
    _metadata.create_all(connection, checkfirst=False)
    connection.execute(sa.insert(_meta).values(version=VERSION))
    connection.execute(sa.insert(_head).values(id=1, number=0, link=FIRST.hex(), time=current_minute()))


def load_head(connection: sa.Connection, *, locked: bool = False) -> Head:
    """The end of the chain.

    Args:
        connection: in a transaction.
        locked: whether nobody else may write until the end of the transaction.

    Raises:
        LedgerError: if it is missing.
    """
    query = sa.select(_head.c.number, _head.c.link, _head.c.time, _head.c.mac)
    row = connection.execute(query.with_for_update() if locked else query).first()
    if row is None:
        raise LedgerError("the ledger has no head: `centtrack consent verify` says more")
    try:
        return msgspec.convert(dict(zip(("number", "link", "time", "mac"), row, strict=True)), Head)
    except msgspec.ValidationError:
        raise LedgerError("the ledger's head is damaged: `centtrack consent verify` says more") from None


def lock_head(connection: sa.Connection, seal: Seal) -> Head:
    """The end of the chain, for the only one who may add to it now.

    Raises:
        LedgerError: if adding would put our signature under something that we didn't write.
    """
    head = load_head(connection, locked=True)
    if seal.has_key and head.number and not seal.fits(head):
        raise LedgerError(
            "nothing is added: the head isn't signed by any of the secrets. Either the ledger was changed from outside "
            "(`centtrack consent verify`), or the secret that signed it is missing: list it before the newer ones"
        )
    if head.mac is not None and not seal.has_key:
        raise LedgerError("nothing is added without a secret: the ledger's head is signed. Set $CENTTRACK_SECRET")
    return head


def append(connection: sa.Connection, head: Head, record: Record, body: str, seal: Seal) -> Head:
    """Add a record at the end of the chain.

    Args:
        connection: in a transaction.
        head: locked.
        record: what to add.
        body: its text.
        seal: signs the new head.
    """
    number, previous, salt = head.number + 1, bytes.fromhex(head.link), new_salt()
    digest = digest_of(salt, body)
    link = link_of(number, previous, digest)
    receipt, replaces = (record.receipt, record.replaces) if isinstance(record, ConsentRecord) else (None, None)
    row = Row(number, receipt, replaces, body, salt, digest, previous, link)
    connection.execute(sa.insert(_entry), row._asdict())
    new = seal.make_head(number, link, current_minute())
    connection.execute(sa.update(_head).values(number=new.number, link=new.link, time=new.time, mac=new.mac))
    return new


def keep_text(connection: sa.Connection, text_hash: str, shown: ShownText | None) -> None:
    """Keep what was shown, once.

    Raises:
        LedgerError: if it isn't the text that the record names, or not known here.
    """
    if not text_hash or connection.scalar(sa.select(_text.c.hash).where(_text.c.hash == text_hash)):
        return
    if shown is None or shown.hash != text_hash:
        raise LedgerError("the record names a text that the ledger doesn't have: give the one that was shown")
    connection.execute(sa.insert(_text).values(hash=text_hash, language=shown.language, text=shown.text))


def erase(connection: sa.Connection, receipt: str, seal: Seal) -> int:
    """Erase what is kept under a receipt, and add a record of that. How many records it was."""
    head = lock_head(connection, seal)
    numbers = _kept_under(connection, receipt)
    if numbers:
        is_meant = _entry.c.number.in_(numbers)
        connection.execute(sa.update(_entry).where(is_meant).values(body=None, salt=None, receipt=None, replaces=None))
        record = ErasureRecord(erased=numbers, time=current_minute())
        append(connection, head, record, write_record(record), seal)
    return len(numbers)


def load_rows(connection: sa.Connection, *, after: int, at_most: int) -> list[Row]:
    """The next rows, in order, with what they hold, whatever its type: SQLite keeps a text where bytes belong."""
    query = (
        sa.select(*(sa.type_coerce(column, _Raw) for column in _entry.c))
        .where(_entry.c.number > after)
        .order_by(_entry.c.number)
        .limit(at_most)
    )
    return [Row._make(row) for row in connection.execute(query)]


def load_bodies(connection: sa.Connection, receipt: str) -> list[str]:
    """What is kept under a receipt, the oldest first."""
    is_meant = _entry.c.number.in_(_kept_under(connection, receipt))
    bodies = connection.scalars(sa.select(_entry.c.body).where(is_meant).order_by(_entry.c.number))
    return [body for body in bodies if body is not None]


def _kept_under(connection: sa.Connection, receipt: str) -> tuple[int, ...]:
    """The rows of a receipt, and of those that it replaced, in order: a visitor holds the last one only."""
    numbers: set[int] = set()
    seen: set[str] = set()
    wanted = {receipt}
    while wanted:
        seen |= wanted
        rows = connection.execute(sa.select(_entry.c.number, _entry.c.replaces).where(_entry.c.receipt.in_(wanted)))
        found = rows.all()
        numbers |= {row.number for row in found}
        wanted = {row.replaces for row in found} - seen - {None}
    return tuple(sorted(numbers))


def count_rows(connection: sa.Connection) -> int:
    """How many rows there are, whatever their numbers."""
    return connection.scalar(sa.select(sa.func.count()).select_from(_entry)) or 0


def with_body(connection: sa.Connection, numbers: Sequence[int]) -> list[int]:
    """Which of these rows aren't erased."""
    is_meant = sa.and_(_entry.c.number.in_(numbers), _entry.c.body.is_not(None))
    return list(connection.scalars(sa.select(_entry.c.number).where(is_meant)))


def load_texts(connection: sa.Connection) -> list[tuple[str, ShownText]]:
    """The texts that were shown, and the hashes they are kept under."""
    rows = connection.execute(sa.select(_text.c.hash, _text.c.language, _text.c.text).order_by(_text.c.hash))
    return [(row.hash, ShownText(row.text, row.language)) for row in rows]
