/* An order and its message in one transaction, in plain C. */
#include <sqlite3.h>
#include <stdio.h>

// [insert]
static int place_order(sqlite3* db, int id, int cents) {
    char* sql = sqlite3_mprintf(
        "begin immediate;"
        "insert into orders values (%d, %d);"
        "insert into outbox (topic, aggregate_id, payload)"
        " values ('orders', %d, json_object('id', %d, 'cents', %d));"
        "commit;",
        id, cents, id, id, cents);
    const int result = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (result != SQLITE_OK && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "rollback", NULL, NULL, NULL);
    sqlite3_free(sql);
    return result;
}
// [/insert]

int main(void) {
    sqlite3* db = NULL;
    if (sqlite3_open("shop.db", &db) != SQLITE_OK)
        return 1;
    sqlite3_busy_timeout(db, 60000);
    const int result = place_order(db, 5, 599);
    if (result != SQLITE_OK)
        fprintf(stderr, "%s\n", sqlite3_errmsg(db));
    sqlite3_close(db);
    return result == SQLITE_OK ? 0 : 1;
}
