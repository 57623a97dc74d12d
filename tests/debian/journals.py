"""A database by each way of keeping a journal; its files are listed on the way."""
import os
import sqlite3

for mode in ("delete", "wal", "truncate", "memory"):
    database = sqlite3.connect(f"/tmp/{mode}.db")
    print(database.execute(f"pragma journal_mode={mode}").fetchone())
    database.execute("create table t(a integer primary key, b text, c real)")
    with database:
        rows = ((f"row{i}", i / 3) for i in range(2000))
        database.executemany("insert into t(b, c) values(?, ?)", rows)
    try:
        with database:
            database.execute("update t set b = 'x'")
            raise ValueError
    except ValueError:
        pass
    print(database.execute("select count(*), sum(c), max(b) from t where a % 7 = 1").fetchall())
    print(sorted(os.listdir("/tmp")))
    database.execute("create index i on t(b)")
    database.execute("delete from t where a > 1500")
    database.commit()
    database.execute("vacuum")
    print(database.execute("pragma integrity_check").fetchall())
    database.close()
print(sorted(os.listdir("/tmp")))
