<?php
// PHP's pgsql and PDO extensions: queries, prepared statements, COPY, meta data, notifications.
function tried(string $name, callable $act, array $more = []): void {
    try {
        $line = ["tried" => $name] + $more + ["got" => $act()];
    } catch (Throwable $error) {
        $line = ["tried" => $name] + $more + ["failed" => $error->getMessage()];
    }
    echo json_encode($line, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
}
function pdo(array $options = []): PDO {
    $at = sprintf("pgsql:host=%s;port=%s;dbname=%s", getenv("PGHOST"), getenv("PGPORT"), getenv("PGDATABASE"));
    return new PDO($at, getenv("PGUSER"), getenv("PGPASSWORD"), $options);
}
function plain(): PgSql\Connection { return pg_connect("", PGSQL_CONNECT_FORCE_NEW); }
echo json_encode(["client" => "PHP " . PHP_VERSION . " (pgsql, PDO)"]), "\n";

tried("PDO: prepared statements", function () {
    $s = pdo()->prepare("select id, name, email, city from customers where id < ? order by id");
    $s->execute([4]);
    return $s->fetchAll(PDO::FETCH_NUM);
});
tried("PDO: emulated prepares", function () {
    $s = pdo([PDO::ATTR_EMULATE_PREPARES => true])->prepare("select id, email from customers where id = :id");
    $s->execute(["id" => 3]);
    return [$s->fetchAll(PDO::FETCH_NUM), $s->getColumnMeta(1)["name"]];
});
tried("PDO: getColumnMeta (looks types and tables up)", function () {
    $s = pdo()->query("select id, total from orders where id = 1");
    return [$s->getColumnMeta(0), $s->getColumnMeta(1)];
});
tried("PDO: a transaction, lastInsertId", function () {
    $db = pdo();
    $db->beginTransaction();
    $db->exec("insert into notes (body) values ('php')");
    $db->commit();
    return $db->lastInsertId() > 0;
});
tried("PDO: pgsqlCopyFromArray, pgsqlCopyToArray", function () {
    $db = pdo();
    $db->pgsqlCopyFromArray("notes", ["40001\ta\n", "40002\tb\n"], "\t", "\\\\N", "id,body");
    return count($db->pgsqlCopyToArray("orders"));
});
tried("pgsql: pg_query_params, pg_prepare, pg_meta_data, pg_convert", function () {
    $db = plain();
    pg_prepare($db, "city", "select city, email from customers where id = $1");
    return [pg_fetch_all(pg_query_params($db, "select $1::int as n", [3])), pg_fetch_all(pg_execute($db, "city", [2])),
        pg_meta_data($db, "orders"), pg_convert($db, "orders", ["total" => "3.5", "customer" => "1"])];
});
tried("pgsql: pg_field_table, pg_field_type (look-ups of names)", function () {
    $found = pg_query(plain(), "select id, note from orders where id = 1");
    return [pg_field_table($found, 0), pg_field_type($found, 1)];
});
tried("pgsql: asynchronous queries, notifications", function () {
    $db = plain();
    pg_query($db, "listen news");
    pg_query($db, "notify news, 'hello'");
    $heard = pg_get_notify($db);
    return [$heard["message"], $heard["payload"]];
}, ["withheld" => "hello"]);
