/*
By hand: partitions by key, and a table that keeps all its versions (WITH SYSTEM VERSIONING)
entities:
  sensor:
    table: sensors
    id: {type: int}
    fields:
      value: {type: float}
      n: {type: int, default: 0}
values: {value: [0.1, null]}
increment: [n]
put: {"2": {value: 5, n: 1}, "99": {value: 1}}
delete: ["3"]
other: {note: "'{n}'"}
check:
  - SELECT count(*) >= 2 FROM sensors FOR SYSTEM_TIME ALL WHERE id = 1
*/
CREATE TABLE sensors (id int PRIMARY KEY, value double, n bigint NOT NULL DEFAULT 0, note varchar(20)) WITH SYSTEM VERSIONING PARTITION BY KEY (id) PARTITIONS 3;
INSERT INTO sensors (id, value) VALUES (1, 1), (2, 2), (3, 3);
