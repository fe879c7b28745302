"""An order and its message in one transaction, from Python's standard library."""
# [insert]
import json
import sqlite3

db = sqlite3.connect("shop.db", timeout=60)
with db:  # commits at the end, or rolls back
    db.execute("insert into orders values (?, ?)", (4, 1496))
    db.execute(
        "insert into outbox (topic, type, aggregate_id, payload) values (?, ?, ?, ?)",
        ("orders", "order-created", "4", json.dumps({"id": 4, "cents": 1496})),
    )
# [/insert]
db.close()
