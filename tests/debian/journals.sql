.open /tmp/a.db
pragma journal_mode = wal;
create table t(a, b);
with recursive n(x) as (select 1 union all select x + 1 from n where x < 5000)
  insert into t select x, hex(x * x) from n;
select count(*), max(length(b)), sum(a) from t;
begin; delete from t where a % 3 = 0; rollback;
begin; delete from t where a % 3 = 1; commit;
select count(*) from t;
create index ti on t(b);
select a from t where b = '3136';
attach '/tmp/b.db' as other;
create table other.u as select * from t where a < 100;
select count(*) from other.u;
.mode csv
select * from t limit 3;
pragma integrity_check;
.tables
