/*
By hand: a table in a schema of its own, with a name in capitals, a check over two columns one of which is not mapped
entities:
  span:
    table: sales.Spans
    id: {type: int}
    fields:
      low: {type: int, required: true}
      high: {type: int}
values: {high: [50, null]}
increment: [low]
put: {"2": {low: 2, high: 60}, "9": {low: 0}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {high: 1}, says: refused}
  - {op: patch, id: "5", fields: {low: 2000}, says: refused}
other: {cap: "1000 + {n}"}
*/
CREATE SCHEMA sales;
CREATE TABLE sales."Spans" (id int PRIMARY KEY, low int NOT NULL, high int, cap int NOT NULL DEFAULT 1000, CHECK (high IS NULL OR low <= high), CHECK (low < 1500 AND cap > 0));
INSERT INTO sales."Spans" SELECT n, n, n + 10 FROM generate_series(1, 5) n;
