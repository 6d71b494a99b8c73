// pgjdbc: metadata calls, batches, fetchSize cursors, server-prepared statements, CopyManager, generated keys, and the
// look-ups that GUI clients such as DBeaver make when they connect and open a table.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class TryPgjdbc {
    interface Act { Object act(Connection connection) throws Exception; }

    static Connection connect(String more) throws SQLException {
        Map<String, String> at = System.getenv();
        return DriverManager.getConnection("jdbc:postgresql://" + at.get("PGHOST") + ":" + at.get("PGPORT") + "/"
            + at.get("PGDATABASE") + "?sslmode=disable" + more, at.get("PGUSER"), at.get("PGPASSWORD"));
    }

    static String quoted(Object value) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : String.valueOf(value).toCharArray())
            out.append(c == '"' || c == '\\' ? "\\" + c : c < 32 ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        return out.append('"').toString();
    }

    static void tried(String name, String more, Act act) { tried(name, more, "", act); }

    static void tried(String name, String more, String flags, Act act) {
        String line = "{\"tried\": " + quoted(name) + flags;
        try (Connection connection = connect(more)) {
            System.out.println(line + ", \"got\": " + quoted(act.act(connection)) + "}");
        } catch (Exception error) {
            System.out.println(line + ", \"failed\": " + quoted(error) + "}");
        }
    }

    static String rows(ResultSet found) throws SQLException {
        StringBuilder out = new StringBuilder();
        int columns = found.getMetaData().getColumnCount();
        while (found.next()) {
            for (int i = 1; i <= columns; i++) out.append(found.getString(i)).append('|');
            out.append('\n');
        }
        return out.toString();
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("{\"client\": " + quoted("pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION
            + " (Java " + System.getProperty("java.version") + ")") + "}");
        tried("statements and prepared statements, every common type", "", c -> {
            PreparedStatement s = c.prepareStatement(
                "select id, name, email, born, score, active, tags, extra, avatar from customers where id < ? order by id");
            s.setInt(1, 4);
            return rows(s.executeQuery());
        });
        tried("server-prepared after 5 executions, binary transfer", "", c -> {
            StringBuilder out = new StringBuilder();
            PreparedStatement s = c.prepareStatement("select id, total, placed, note from orders where id = ?");
            for (int i = 1; i < 9; i++) { s.setInt(1, i); out.append(rows(s.executeQuery())); }
            return out;
        });
        tried("preferQueryMode=simple", "&preferQueryMode=simple", c -> {
            PreparedStatement s = c.prepareStatement("select id, email from customers where id = ?");
            s.setInt(1, 4);
            return rows(s.executeQuery());
        });
        tried("fetchSize: a portal read in portions", "&defaultRowFetchSize=50", c -> {
            c.setAutoCommit(false);
            ResultSet found = c.createStatement().executeQuery("select id, email from customers order by id");
            int sum = 0;
            while (found.next()) sum += found.getInt(1);
            c.commit();
            return sum;
        });
        tried("executeBatch", "", c -> {
            PreparedStatement s = c.prepareStatement("insert into notes (id, body) values (?, ?)");
            for (int i = 0; i < 300; i++) { s.setLong(1, 3000 + i); s.setString(2, "b" + i); s.addBatch(); }
            return Arrays.toString(Arrays.copyOf(s.executeBatch(), 3))
                + rows(c.createStatement().executeQuery("select count(*) from notes where id between 3000 and 3299"));
        });
        tried("executeBatch with an error in the middle", "", c -> {
            PreparedStatement s = c.prepareStatement("insert into notes (id, body) values (?, ?)");
            for (int id : new int[] {4001, 4002, 4001}) { s.setLong(1, id); s.setString(2, "x"); s.addBatch(); }
            String said;
            try { s.executeBatch(); said = "nothing"; }
            catch (BatchUpdateException error) { said = error.getSQLState() + error.getUpdateCounts().length; }
            return said + rows(c.createStatement().executeQuery("select count(*) from notes where id > 4000 and id < 4010"));
        });
        tried("reWriteBatchedInserts", "&reWriteBatchedInserts=true", c -> {
            PreparedStatement s = c.prepareStatement("insert into notes (id, body) values (?, ?)");
            for (int i = 0; i < 100; i++) { s.setLong(1, 5000 + i); s.setString(2, "r"); s.addBatch(); }
            s.executeBatch();
            return rows(c.createStatement().executeQuery("select count(*) from notes where id between 5000 and 5099"));
        });
        tried("getGeneratedKeys", "", c -> {
            PreparedStatement s = c.prepareStatement("insert into notes (body) values ('k')", new String[] {"id", "body"});
            s.executeUpdate();
            return rows(s.getGeneratedKeys());
        });
        tried("transactions, savepoints, isolation, read-only", "", c -> {
            c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            c.setAutoCommit(false);
            c.createStatement().executeUpdate("insert into notes (id, body) values (6001, 'kept')");
            Savepoint s = c.setSavepoint();
            String said;
            try { c.createStatement().executeQuery("select 1/0"); said = ""; } catch (SQLException e) { said = e.getSQLState(); }
            c.rollback(s);
            c.commit();
            c.setReadOnly(true);
            return said + rows(c.createStatement().executeQuery("select body from notes where id = 6001"));
        });
        tried("CopyManager in and out", "", c -> {
            CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
            long many = copy.copyIn("copy notes (id, body) from stdin", new StringReader("9001\ta\n9002\tb\n"));
            StringWriter out = new StringWriter();
            copy.copyOut("copy (select id, body from notes where id > 9000 order by id) to stdout", out);
            return many + out.toString();
        });
        tried("several statements in one string", "", c -> {
            Statement s = c.createStatement();
            s.execute("select 1; select 2");
            s.getMoreResults();
            return rows(s.getResultSet());
        });
        tried("LISTEN and NOTIFY", "", ", \"withheld\": \"hello\"", c -> {
            c.createStatement().execute("listen news");
            c.createStatement().execute("notify news, 'hello'");
            org.postgresql.PGNotification[] heard = c.unwrap(PGConnection.class).getNotifications(20000);
            return heard[0].getName() + " " + heard[0].getParameter();
        });
        tried("a scrollable, updatable result set", "", c -> {
            Statement s = c.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
            ResultSet found = s.executeQuery("select id, note from orders where id < 4");
            found.last();
            found.updateString(2, "changed");
            found.updateRow();
            return rows(c.createStatement().executeQuery("select note from orders where id = 3"));
        });
        tried("cancel and query time-out", "", c -> {
            Statement s = c.createStatement();
            s.setQueryTimeout(1);
            try { s.executeQuery("select pg_sleep(30)"); return "not cancelled"; }
            catch (SQLException error) { return error.getSQLState() + rows(c.createStatement().executeQuery("select 1")); }
        });
        tried("ResultSetMetaData: base tables and columns, nullability, auto-increment", "", c -> {
            ResultSetMetaData of = c.createStatement().executeQuery("select id, total as sum, note from orders").getMetaData();
            StringBuilder out = new StringBuilder();
            for (int i = 1; i <= 3; i++)
                out.append(of.getTableName(i)).append(of.getColumnName(i)).append(of.isNullable(i)).append(of.isAutoIncrement(i));
            return out;
        });
        metadata();
    }

    static void metadata() {
        tried("DatabaseMetaData: tables, columns, types", "", c -> {
            DatabaseMetaData of = c.getMetaData();
            return rows(of.getTables(null, "public", "%", null)) + rows(of.getColumns(null, "public", "%", "%"))
                + rows(of.getTableTypes()) + rows(of.getSchemas());
        });
        tried("DatabaseMetaData: keys and indexes", "", c -> {
            DatabaseMetaData of = c.getMetaData();
            return rows(of.getPrimaryKeys(null, "public", "orders")) + rows(of.getImportedKeys(null, "public", "orders"))
                + rows(of.getExportedKeys(null, "public", "customers")) + rows(of.getIndexInfo(null, "public", "orders", false, false))
                + rows(of.getBestRowIdentifier(null, "public", "orders", 1, true));
        });
        tried("DatabaseMetaData: privileges, routines, versions", "", c -> {
            DatabaseMetaData of = c.getMetaData();
            return rows(of.getTablePrivileges(null, "public", "orders")) + rows(of.getColumnPrivileges(null, "public", "orders", "%"))
                + rows(of.getProcedures(null, "public", "%")) + rows(of.getFunctions(null, "public", "%"))
                + rows(of.getFunctionColumns(null, "public", "%", "%"))
                + rows(of.getUDTs(null, "public", "%", null)) + of.getMaxConnections();
        });
        tried("DatabaseMetaData.getTypeInfo", "", c -> rows(c.getMetaData().getTypeInfo()).length() > 1000);
    }
}
