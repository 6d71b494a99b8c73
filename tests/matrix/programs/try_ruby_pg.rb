# ruby-pg: queries, prepared statements, COPY, single-row mode, type maps, notifications.
require "json"
require "pg"

def tried(name, more = {})
  connection = PG.connect
  puts JSON.generate({ "tried" => name, **more, "got" => yield(connection) })
rescue StandardError => error
  puts JSON.generate({ "tried" => name, **more, "failed" => "#{error.class}: #{error.message}" })
ensure
  connection&.close
  $stdout.flush
end

puts JSON.generate({ "client" => "ruby-pg #{PG::VERSION} (Ruby #{RUBY_VERSION})" })
tried("exec_params, text and binary") do |c|
  [c.exec_params("select id, name, email from customers where id < $1 order by id", [4]).values,
   c.exec_params("select id from customers where id < $1", [2], 1).values.flatten.map { |v| v.unpack1("H*") }]
end
tried("prepared statements, describe") do |c|
  c.prepare("city", "select city from customers where id = $1")
  [c.describe_prepared("city").nparams, (1..5).map { |n| c.exec_prepared("city", [n]).getvalue(0, 0) }]
end
tried("type maps (a look-up of pg_type)") do |c|
  c.type_map_for_results = PG::BasicTypeMapForResults.new(c)
  c.exec("select id, total, placed, tags from orders join customers using (id) where id < 3 order by id").values.map(&:to_s)
end
tried("single-row mode") do |c|
  c.send_query("select id from orders order by id")
  c.set_single_row_mode
  c.get_result.stream_each.sum { |row| row["id"].to_i }
end
tried("a transaction, rolled back by an exception") do |c|
  begin
    c.transaction { |t| t.exec("insert into notes (body) values ('lost')"); raise "no" }
  rescue RuntimeError
    c.exec("select count(*) from notes").values
  end
end
tried("COPY in and out") do |c|
  c.copy_data("copy notes (id, body) from stdin") { c.put_copy_data("50001\tx\n") }
  out = []
  c.copy_data("copy (select id, body from notes where id = 50001) to stdout") { while (row = c.get_copy_data); out << row; end }
  out
end
tried("pipeline mode with an error in the middle") do |c|
  c.enter_pipeline_mode
  c.send_query_params("select 1", [])
  c.pipeline_sync
  c.send_query_params("select 1/0", [])
  c.send_query_params("select 2", [])
  c.pipeline_sync
  c.send_query_params("select 3", [])
  c.pipeline_sync
  seen = []
  while seen.count("sync") < 3
    found = c.get_result
    next if found.nil?
    status = found.result_status
    seen << (status == PG::PGRES_PIPELINE_SYNC ? "sync" : status == PG::PGRES_TUPLES_OK ? found.values : found.res_status(status))
  end
  c.exit_pipeline_mode
  [seen, c.exec("select 4").values]
end
tried("LISTEN and NOTIFY", "withheld" => "hello") do |c|
  c.exec("listen news; notify news, 'hello'")
  heard = nil
  c.wait_for_notify(20) { |channel, _pid, payload| heard = [channel, payload.to_s] }
  heard
end
