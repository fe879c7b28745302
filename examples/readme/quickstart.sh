#!/bin/bash
# The README's shell example, run by the tests in an empty folder with txm on the PATH.
set -euo pipefail

# [quickstart]
txm migrate --store sqlite:shop.db       # creates the tables; also in a database that you have already

# Publish from SQL, in the transaction that changes your own data …
sqlite3 shop.db "create table if not exists orders (id integer primary key, cents integer);
    begin immediate;
    insert into orders values (1, 2933);
    insert into outbox (topic, aggregate_id, payload) values ('orders', '1', '{\"id\":1,\"cents\":2933}');
    commit;"

# … or from JSON Lines.
echo '{"topic":"orders","aggregate_id":"2","payload":{"id":2,"cents":1496}}' | txm publish --store sqlite:shop.db

# Carry what is committed to a broker; without --drain, until it is stopped.
txm relay --store sqlite:shop.db --broker local:broker.db --drain

# Apply each message once, in the transaction that records that it was applied.
sqlite3 books.db "create table if not exists booking (id integer primary key, cents integer);"
txm migrate --store sqlite:books.db
cat >book.sql <<'SQL'
insert into booking values (json_extract(:payload, '$.id'), json_extract(:payload, '$.cents'));
SQL
txm consume --store sqlite:books.db --broker local:broker.db --topic orders \
    --consumer bookkeeping --sql book.sql --drain

txm status --store sqlite:shop.db
# [/quickstart]

[ "$(sqlite3 books.db 'select group_concat(id || ":" || cents) from (select * from booking order by id)')" = 1:2933,2:1496 ]
# Again: nothing is sent, nothing is applied twice.
txm relay --store sqlite:shop.db --broker local:broker.db --drain
txm consume --store sqlite:books.db --broker local:broker.db --topic orders --consumer bookkeeping --sql book.sql --drain
[ "$(sqlite3 books.db 'select count(*) from booking')" = 2 ]
