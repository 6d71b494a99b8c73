"""SQLAlchemy 2 over a driver named on the command line: reflection, unit of work, savepoints, streaming."""

import asyncio
import os
import sys
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
from trials import Trials

tried = Trials()
DRIVER = sys.argv[1] if len(sys.argv) > 1 else "psycopg"
ASYNC = DRIVER == "asyncpg"
URL = sa.URL.create(
    f"postgresql+{DRIVER}",
    username=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    host=os.environ["PGHOST"],
    port=int(os.environ["PGPORT"]),
    database=os.environ["PGDATABASE"],
)
ENGINE = create_async_engine(URL, connect_args={"ssl": False}) if ASYNC else sa.create_engine(URL)


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    city: Mapped[str]
    orders: Mapped[list["Order"]] = relationship(back_populates="owner", order_by="Order.id")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    total: Mapped[float]
    placed: Mapped[object] = mapped_column(sa.DateTime(timezone=True))
    note: Mapped[str]
    owner: Mapped[Customer] = relationship(back_populates="orders")


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    body: Mapped[str]
    feeling: Mapped[str] = mapped_column(sa.Enum("sad", "ok", "happy", name="mood"), default="ok")


def connected(act: Callable[[sa.Connection], object]) -> object:
    """Do it on a connection, whichever kind the driver has."""
    if not ASYNC:
        with ENGINE.connect() as connection:
            return act(connection)

    async def whole() -> object:
        async with ENGINE.connect() as connection:
            found = await connection.run_sync(act)
        await ENGINE.dispose()
        return found

    return asyncio.run(whole())


def trial(name: str) -> Callable[[Callable[[sa.Connection], object]], None]:
    def keep(act: Callable[[sa.Connection], object]) -> None:
        tried(name)(lambda: connected(act))

    return keep


@trial("inspection: tables, columns, keys, indexes, comments, checks, views, sequences, enums")
def inspects(connection: sa.Connection) -> object:
    look = sa.inspect(connection)
    by_table = (look.get_columns, look.get_pk_constraint, look.get_foreign_keys, look.get_indexes)
    by_table += (look.get_unique_constraints, look.get_check_constraints, look.get_table_comment)
    tables = {name: [ask(name) for ask in by_table] for name in sorted(look.get_table_names())}
    others = look.get_view_names(), look.get_view_definition("order_totals"), look.get_sequence_names()
    return tables, others, look.get_enums(), look.get_schema_names()


@trial("MetaData.reflect and automap")
def reflects(connection: sa.Connection) -> object:
    metadata = sa.MetaData()
    metadata.reflect(connection, views=True)
    mapped = automap_base(metadata=metadata)
    mapped.prepare()
    return sorted(metadata.tables), sorted(mapped.classes.keys())


@trial("has_table, get_multi_columns")
def has(connection: sa.Connection) -> object:
    look = sa.inspect(connection)
    multi = look.get_multi_columns(filter_names=["orders", "notes"])
    return (
        look.has_table("customers"),
        look.has_table("nothing"),
        {str(key): len(value) for key, value in multi.items()},
    )


@trial("ORM queries with joins, eager loading and masks")
def queries(connection: sa.Connection) -> object:
    session = Session(connection)
    found = session.scalars(
        sa.select(Customer).where(Customer.id.in_([1, 2])).options(selectinload(Customer.orders)).order_by(Customer.id)
    )
    return [(one.name, one.email, [order.total for order in one.orders]) for one in found]


@trial("unit of work: insert, update, delete, flush, refresh, commit")
def works(connection: sa.Connection) -> object:
    session = Session(connection)
    notes = [Note(body=f"n{number}") for number in range(20)]
    session.add_all(notes)
    session.flush()
    notes[0].body = "changed"
    session.delete(notes[1])
    session.commit()
    session.refresh(notes[0])
    return notes[0].body, session.scalar(sa.select(sa.func.count()).select_from(Note))


@trial("savepoints (begin_nested) around an error")
def savepoints(connection: sa.Connection) -> object:
    session = Session(connection)
    try:
        with session.begin_nested():
            session.add(Note(id=1, body="twice"))
            session.flush()
            session.execute(sa.insert(Note).values(id=1, body="again"))
    except sa.exc.IntegrityError:
        return session.scalar(sa.select(sa.func.count()).select_from(Note).where(Note.body == "twice"))


@trial("insertmanyvalues with RETURNING, ON CONFLICT DO UPDATE")
def inserts(connection: sa.Connection) -> object:
    ids = connection.execute(
        sa.insert(Note).returning(Note.body, sort_by_parameter_order=True), [{"body": str(n)} for n in range(50)]
    ).all()
    text = insert(Note).values(id=9000, body="x")
    connection.execute(text.on_conflict_do_update(index_elements=["id"], set_={"body": "y"}))
    connection.commit()
    return [tuple(row) for row in ids][:3]


@trial("streaming results (yield_per, server-side cursor)")
def streams(connection: sa.Connection) -> object:
    if ASYNC:
        return "needs an asynchronous session"
    result = connection.execution_options(yield_per=100).execute(sa.select(Order.id).order_by(Order.id))
    return sum(row.id for row in result)


@trial("isolation levels, AUTOCOMMIT")
def isolation(connection: sa.Connection) -> object:
    connection = connection.execution_options(isolation_level="SERIALIZABLE")
    level = connection.scalar(sa.text("show transaction_isolation"))
    return level, connection.get_isolation_level(), connection.default_isolation_level


@trial("SELECT FOR UPDATE SKIP LOCKED, CTE, window, array, JSON")
def speaks(connection: sa.Connection) -> object:
    ranked = sa.select(Order.id, sa.func.rank().over(order_by=Order.total.desc()).label("place")).cte("ranked")
    first = connection.execute(sa.select(ranked).where(ranked.c.place < 3).order_by(ranked.c.place)).all()
    locked = connection.execute(sa.select(Order.id).where(Order.id == 5).with_for_update(skip_locked=True)).all()
    return [tuple(row) for row in first], [tuple(row) for row in locked]


if __name__ == "__main__":
    tried.run(f"SQLAlchemy {sa.__version__} over {DRIVER}")
