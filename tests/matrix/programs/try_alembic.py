"""Alembic: migrations up and down, autogenerate, offline SQL; SQLModel and peewee on what they made."""

import io
import os
from pathlib import Path

import alembic
import alembic.command
import alembic.config
import sqlalchemy as sa
from trials import Trials

tried = Trials()
URL = "postgresql+psycopg://{PGUSER}:{PGPASSWORD}@{PGHOST}:{PGPORT}/{PGDATABASE}".format_map(os.environ)
FIRST = """
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision, down_revision = "a1", None

def upgrade():
    op.create_table("authors", sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("kind", postgresql.ENUM("person", "group", name="author_kind")), sa.UniqueConstraint("name"))
    op.create_index("authors_by_kind", "authors", ["kind"])
    op.bulk_insert(sa.table("authors", sa.column("name", sa.String)), [{"name": "x"}, {"name": "y"}])

def downgrade():
    op.drop_index("authors_by_kind"); op.drop_table("authors"); op.execute("drop type author_kind")
"""
SECOND = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "b2", "a1"

def upgrade():
    op.add_column("authors", sa.Column("born", sa.Date))
    op.alter_column("authors", "name", type_=sa.String(80), nullable=True)
    op.create_check_constraint("long_enough", "authors", "length(name) > 0")
    op.execute("comment on table authors is 'who writes'")
    op.rename_table("authors", "writers")

def downgrade():
    op.rename_table("writers", "authors")
    op.drop_constraint("long_enough", "authors"); op.drop_column("authors", "born")
"""
ENVIRONMENT = """
from alembic import context
import sqlalchemy as sa
import os
URL = context.config.get_main_option("sqlalchemy.url")
metadata = sa.MetaData()
sa.Table("writers", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("extra", sa.Text))
if context.is_offline_mode():
    context.configure(url=URL, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with sa.create_engine(URL).connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
"""
SAID = io.StringIO()


def configuration() -> alembic.config.Config:
    found = alembic.config.Config(stdout=SAID, output_buffer=SAID)
    found.set_main_option("script_location", "migrations")
    found.set_main_option("sqlalchemy.url", URL)
    return found


def tables() -> list[str]:
    engine = sa.create_engine(URL)
    with engine.connect() as connection:
        return sorted(sa.inspect(connection).get_table_names())


@tried("upgrade to head: tables, an enum, indexes, data, checks, comments, a rename")
def upgrades() -> object:
    alembic.command.upgrade(configuration(), "head")
    return tables()


@tried("current, history, autogenerate against the live schema")
def compares() -> object:
    alembic.command.current(configuration())
    alembic.command.revision(configuration(), autogenerate=True, rev_id="c3", message="more")
    return sorted(line for line in Path("migrations/versions/c3_more.py").read_text().splitlines() if "op." in line)


@tried("downgrade to base and up again")
def downgrades() -> object:
    Path("migrations/versions/c3_more.py").unlink()
    alembic.command.downgrade(configuration(), "base")
    without = tables()
    alembic.command.upgrade(configuration(), "head")
    return without, tables()


@tried("SQLModel: create_all, insert, select, relationship")
def sqlmodel_works() -> object:
    import sqlmodel

    class Team(sqlmodel.SQLModel, table=True):
        id: int | None = sqlmodel.Field(default=None, primary_key=True)
        name: str

    engine = sa.create_engine(URL)
    Team.__table__.create(engine)
    with sqlmodel.Session(engine) as session:
        session.add(Team(name="blue"))
        session.commit()
        return session.exec(sqlmodel.select(Team)).one().model_dump()


@tried("peewee: create_tables, insert_many, joins, upsert, introspection (pwiz)")
def peewee_works() -> object:
    import peewee
    from playhouse.reflection import generate_models

    place = {"host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"])}
    there = peewee.PostgresqlDatabase(
        os.environ["PGDATABASE"], user=os.environ["PGUSER"], password=os.environ["PGPASSWORD"], **place
    )

    class Pet(peewee.Model):
        name = peewee.CharField(unique=True)
        age = peewee.IntegerField(default=1)

        class Meta:
            database = there

    there.create_tables([Pet])
    Pet.insert_many([{"name": str(n)} for n in range(10)]).execute()
    Pet.insert(name="3", age=5).on_conflict(conflict_target=[Pet.name], preserve=[Pet.age]).execute()
    Pet.update(age=Pet.age + 1).where(Pet.name == "4").execute()
    with there.atomic():
        Pet.delete().where(Pet.name == "5").execute()
    models = generate_models(there, table_names=["pet", "orders"])
    return Pet.select(peewee.fn.SUM(Pet.age)).scalar(), {name: sorted(one._meta.fields) for name, one in models.items()}


def prepare() -> None:
    """A project in the working directory."""
    Path("migrations/versions").mkdir(parents=True)
    Path("migrations/env.py").write_text(ENVIRONMENT)
    Path("migrations/script.py.mako").write_text(
        "revision, down_revision = ${repr(up_revision)}, ${repr(down_revision)}\n"
        "def upgrade():\n    ${upgrades}\n\ndef downgrade():\n    ${downgrades}\n"
    )
    Path("migrations/versions/a1_first.py").write_text(FIRST)
    Path("migrations/versions/b2_second.py").write_text(SECOND)


if __name__ == "__main__":
    prepare()
    import peewee
    import sqlmodel

    tried.run(f"Alembic {alembic.__version__}, SQLModel {sqlmodel.__version__}, peewee {peewee.__version__}")
