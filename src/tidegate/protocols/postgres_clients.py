"""How PostgreSQL's clients are pointed at a resource: libpq and everything that reads what libpq reads.

The files and variables are those of the PostgreSQL documentation, libpq chapters "The Password File", "The Connection
Service File" and "Environment Variables". The password file names host and port, so that no other server is offered
the token; ``verify-full`` makes sure that the server is the gateway.
"""

from __future__ import annotations

from tidegate.model.recipe import Client, Draft, Recipe

_SERVICE = """\
[{{resource}}]
host={{host}}
port={{port}}
dbname={{resource}}
user={{user}}
sslmode=verify-full
sslrootcert={{ca}}
passfile={{directory}}/passfile
"""

CLIENTS = (
    Client("psql", "psql", "psql", ("psql",)),
    Client("pgcli", "pgcli", "pgcli", ("pgcli",)),
    Client("pg_dump", "pg_dump", "pg_dump --schema-only"),
    Client("libpq", "libpq, and every driver built on it", "service={{resource}}"),
    Client("psycopg", "Python: psycopg", 'psycopg.connect("service={{resource}}")'),
    Client("asyncpg", "Python: asyncpg", "await asyncpg.connect()"),
    Client("sqlalchemy", "Python: SQLAlchemy", 'create_engine("postgresql+psycopg:///?service={{resource}}")'),
    Client(
        "django",
        "Python: Django, in DATABASES",
        '"default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"service": "{{resource}}"}}',
    ),
    Client("jdbc", "Java: JDBC (pgjdbc 42.4 and later)", "jdbc:postgresql://?service={{resource}}"),
    Client(
        "node",
        "Node: pg",
        "new pg.Client({ssl: {ca: fs.readFileSync(process.env.PGSSLROOTCERT)}})",
    ),
    Client("go", "Go: pgx", 'pgx.Connect(ctx, "")'),
    Client("rust", "Rust: sqlx", "PgConnectOptions::new()"),
    Client("ruby", "Ruby: pg", 'PG.connect(service: "{{resource}}")'),
    Client("php", "PHP: PDO", 'new PDO("pgsql:service={{resource}}")'),
)

RECIPE = Recipe(
    clients=CLIENTS,
    files={
        "passfile": Draft("{{host}}:{{port}}:*:*:{{token}}\n", escape="\\:"),
        "service": Draft(_SERVICE),
    },
    environment={
        "PGSERVICEFILE": "{{directory}}/service",
        "PGSERVICE": "{{resource}}",
        "PGPASSFILE": "{{directory}}/passfile",
        "PGHOST": "{{host}}",
        "PGPORT": "{{port}}",
        "PGDATABASE": "{{resource}}",
        "PGUSER": "{{user}}",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "{{ca}}",
    },
    # Each would send the client elsewhere, or something else than the token.
    unset=("PGPASSWORD", "PGHOSTADDR", "PGSSLCERT", "PGSSLKEY", "PGREQUIREAUTH", "PGREQUIREPEER", "PGSSLCRL"),
)
"""libpq takes an explicit connection string over the service, and the service over the variables; those that do not
know services read the variables."""
