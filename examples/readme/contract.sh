#!/bin/bash
# Usage: contract.sh FOLDER, in an empty folder with txm on the PATH
#
# The inserts of docs/table-contract.md, from SQL, Python and plain C; FOLDER holds insert.sql, insert.py and insert.c.
set -euo pipefail
examples=$1

txm migrate --store sqlite:shop.db
sqlite3 shop.db "create table if not exists orders (id integer primary key, cents integer not null)"
sqlite3 -bail shop.db <"$examples/insert.sql"
if command -v python3 >/dev/null; then python3 "$examples/insert.py"; else echo "note: no python3 here: insert.py was not run"; fi
cc -Wall -Wextra -Werror -o insert_c "$examples/insert.c" -lsqlite3
./insert_c

txm relay --store sqlite:shop.db --broker stdout: --drain >messages
cat messages
wanted=$(sqlite3 shop.db "select count(*) from orders")
[ "$wanted" -ge 2 ]
[ "$(wc -l <messages)" -eq "$wanted" ]
[ "$(grep -c '"message_id":' messages)" -eq "$wanted" ]
