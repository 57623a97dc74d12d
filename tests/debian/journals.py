import sqlite3, os
for mode in ("delete", "wal", "truncate", "memory"):
    c = sqlite3.connect("/tmp/%s.db" % mode)
    print(c.execute("pragma journal_mode=%s" % mode).fetchone())
    c.execute("create table t(a integer primary key, b text, c real)")
    with c: c.executemany("insert into t(b,c) values(?,?)", (("row%d"%i, i/3) for i in range(2000)))
    try:
        with c: c.execute("update t set b='x'"); raise ValueError
    except ValueError: pass
    print(c.execute("select count(*), sum(c), max(b) from t where a%7=1").fetchall(), sorted(os.listdir("/tmp")))
    c.execute("create index i on t(b)"); c.execute("delete from t where a>1500"); c.commit(); c.execute("vacuum")
    print(c.execute("pragma integrity_check").fetchall()); c.close()
print(sorted(os.listdir("/tmp")))
