/*
By hand: UNIQUE ON CONFLICT REPLACE, where a write deletes the row that has the value
entities:
  host:
    table: hosts
    id: {type: int}
    fields:
      name: {type: string, required: true}
      n: {type: int, default: 0}
values: {n: [5]}
increment: [n]
put: {"2": {name: two, n: 7}, "9": {name: nine}}
refused:
  - {op: patch, id: "3", fields: {name: two}, says: refused-unique}
  - {op: put, id: "4", fields: {name: kept}, says: refused-unique}
kept: ["5"]
check:
  - SELECT count(*) = 5 FROM hosts
*/
CREATE TABLE hosts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE ON CONFLICT REPLACE, n INTEGER DEFAULT 0);
INSERT INTO hosts VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (5, 'kept', 5);
