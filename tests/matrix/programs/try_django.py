"""Django: migrations, ORM, the admin's own queries, inspectdb, server-side cursors."""

import io
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from trials import Trials

tried = Trials()

MODELS = """
from django.db import models


class Shelf(models.Model):
    name = models.CharField(max_length=50, unique=True)
    class Meta:
        app_label = "library"


class Book(models.Model):
    title = models.CharField(max_length=100, db_index=True)
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="books")
    pages = models.PositiveIntegerField(default=0)
    facts = models.JSONField(default=dict)
    added = models.DateTimeField(auto_now_add=True)
    class Meta:
        app_label = "library"
        constraints = [models.CheckConstraint(condition=models.Q(pages__lt=10000), name="short_enough")]


class Customer(models.Model):
    name = models.TextField()
    email = models.TextField()
    city = models.TextField()
    class Meta:
        managed = False
        db_table = "customers"
        app_label = "library"
"""


def command(name: str, *arguments: str) -> str:
    from django.core.management import call_command

    out = io.StringIO()
    call_command(name, *arguments, stdout=out, no_color=True)
    return out.getvalue()


@tried("migrate: auth, contenttypes, sessions, admin, a model of one's own")
def migrates() -> str:
    command("makemigrations", "library")
    return command("migrate", "--verbosity", "1") + command("showmigrations")


@tried("a second migration: ALTER TABLE, data migration, index, undone and done again")
def alters() -> str:
    Path("library/migrations/0002_more.py").write_text(
        """
from django.db import migrations, models

def fill(apps, editor):
    Shelf = apps.get_model("library", "Shelf")
    Shelf.objects.get_or_create(name="from a migration")

class Migration(migrations.Migration):
    dependencies = [("library", "0001_initial")]
    operations = [
        migrations.AddField("book", "isbn", models.CharField(max_length=13, null=True)),
        migrations.AlterField("book", "title", models.CharField(max_length=200)),
        migrations.RenameField("book", "pages", "length"),
        migrations.RenameField("book", "length", "pages"),
        migrations.AddIndex("book", models.Index(fields=["pages", "title"], name="by_length")),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
"""
    )
    return command("migrate") + command("migrate", "library", "0001") + command("migrate")


@tried("ORM: create, bulk_create, update, F expressions, aggregates, prefetching, JSON lookups")
def orm() -> object:
    from django.db.models import Avg, Count, F
    from library.models import Book, Shelf

    shelf = Shelf.objects.create(name="a")
    Book.objects.bulk_create([Book(title=f"t{n}", shelf=shelf, pages=n, facts={"n": n % 3}) for n in range(100)])
    Book.objects.filter(pages=7).update(pages=F("pages") + 1)
    seen = Book.objects.filter(facts__n=1, title__startswith="t").aggregate(Count("id"), Avg("pages"))
    near = [len(one.books.all()) for one in Shelf.objects.prefetch_related("books").order_by("id")]
    return seen, near, Book.objects.select_related("shelf").order_by("-pages").first().shelf.name


@tried("rows with a masked column")
def masked() -> object:
    from library.models import Customer

    return [(one.name, one.email) for one in Customer.objects.filter(id__lte=3).order_by("id")]


@tried("atomic blocks and savepoints, get_or_create, update_or_create, unique violation")
def atomic() -> object:
    from django.db import IntegrityError, transaction
    from library.models import Shelf

    with transaction.atomic():
        Shelf.objects.get_or_create(name="b")
        try:
            with transaction.atomic():
                Shelf.objects.create(name="b")
        except IntegrityError:
            pass
        return Shelf.objects.update_or_create(name="b", defaults={"name": "c"})[1]


@tried("select_for_update, and delete with its cascade")
def deletes() -> object:
    from django.db import transaction
    from library.models import Book, Shelf

    with transaction.atomic():
        shelf = Shelf.objects.select_for_update().get(name="a")
        return shelf.delete()[0], Book.objects.count()


@tried("iterator() over a server-side cursor")
def iterates() -> object:
    from library.models import Customer

    return sum(one.id for one in Customer.objects.only("id").order_by("id").iterator(chunk_size=50))


@tried("inspectdb")
def inspects() -> str:
    return command("inspectdb", "customers", "orders", "notes", "--include-views")


@tried("users, permissions, sessions: what the admin does")
def admin() -> object:
    from django.contrib.auth.models import Permission, User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.create_user("ada", "ada@example.org", "pw")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="library"))
    store = SessionStore()
    store["n"] = 1
    store.save()
    return sorted(user.get_all_permissions()), SessionStore(store.session_key)["n"]


@tried("sequence reset, introspection of constraints, raw SQL, explain")
def raw() -> object:
    from django.core.management.color import no_style
    from django.db import connection
    from library.models import Shelf

    with connection.cursor() as cursor:
        for text in connection.ops.sequence_reset_sql(no_style(), [Shelf]):
            cursor.execute(text)
        found = connection.introspection.get_constraints(cursor, "orders")
        cursor.execute("select city, count(*) from customers group by city order by city")
        return sorted(found), cursor.fetchall(), len(Shelf.objects.all().explain()) > 0


def prepare() -> None:
    """A project in the working directory."""
    Path("library/migrations").mkdir(parents=True)
    for name in ("library/__init__.py", "library/migrations/__init__.py"):
        Path(name).touch()
    Path("library/models.py").write_text(MODELS)
    sys.path.insert(0, str(Path.cwd()))
    place = {key: os.environ[f"PG{key}"] for key in ("HOST", "PORT", "USER", "PASSWORD")}
    apps = ["auth", "contenttypes", "sessions", "messages", "admin"]
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["PGDATABASE"], **place}},
        INSTALLED_APPS=[*(f"django.contrib.{app}" for app in apps), "library"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        SECRET_KEY="of a test",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()


if __name__ == "__main__":
    prepare()
    from django.db import NotSupportedError, connection

    try:
        connection.ensure_connection()
    except NotSupportedError as error:
        tried.unsupported = f"Django {django.get_version()} itself says: {error}"
    tried.run(f"Django {django.get_version()}")
