# DBD::Pg (Perl): queries, prepared statements, catalog calls, COPY, notifications.
use strict;
use warnings;
use DBI;
use JSON::PP;

my $json = JSON::PP->new->canonical->allow_nonref;
sub tried {
    my ($name, $act, %more) = @_;
    my $db = eval { DBI->connect("dbi:Pg:", undef, undef, {RaiseError => 1, PrintError => 0, AutoCommit => 1}) };
    my $got = eval { $act->($db) };
    my $line = $@ ? {tried => $name, %more, failed => "$@"} : {tried => $name, %more, got => $got};
    $line = $json->encode($line);
    print "$line\n";
}
$| = 1;
print $json->encode({client => "DBD::Pg " . do { require DBD::Pg; $DBD::Pg::VERSION } . " (Perl $^V)"}), "\n";

tried("queries with parameters", sub {
    shift->selectall_arrayref("select id, name, email, city, tags from customers where id < ? order by id", undef, 4)
});
tried("server-side prepared statements", sub {
    my $s = shift->prepare("select city from customers where id = ?");
    [map { $s->execute($_); $s->fetchrow_array } 1 .. 5]
});
tried("tables, columns, keys (table_info, column_info, primary_key, foreign_key_info)", sub {
    my $db = shift;
    [$db->tables(undef, "public", "%", "TABLE"), $db->primary_key(undef, "public", "orders"),
     $db->column_info(undef, "public", "orders", "%")->fetchall_arrayref,
     $db->foreign_key_info(undef, "public", "customers", undef, "public", "orders")->fetchall_arrayref]
});
tried("a transaction with a savepoint", sub {
    my $db = shift;
    $db->begin_work;
    $db->do("insert into notes (id, body) values (30001, 'kept')");
    $db->pg_savepoint("s");
    eval { $db->do("select 1/0") };
    $db->pg_rollback_to("s");
    $db->commit;
    $db->selectall_arrayref("select body from notes where id = 30001")
});
tried("COPY in and out (pg_putcopydata)", sub {
    my $db = shift;
    $db->do("copy notes (id, body) from stdin");
    $db->pg_putcopydata("30100\tx\n");
    $db->pg_putcopyend;
    $db->do("copy (select id, body from notes where id = 30100) to stdout");
    my ($row, $all) = ("", "");
    $all .= $row while $db->pg_getcopydata($row) >= 0;
    $all
});
tried("LISTEN and NOTIFY", sub {
    my $db = shift;
    $db->do("listen news");
    $db->do("notify news, 'hello'");
    my $heard = $db->pg_notifies;
    [$heard->[0], $heard->[2]]
}, withheld => "hello");
