/*
Hibernate: `@Version`, a pooled sequence of 50, an enum's ordinal as smallint with a check, `float(53)`, `oid`
entities:
  item:
    table: item
    id: {type: int}
    fields:
      name: {type: string, max: 255}
      kind: {type: int, min: 0, max: 3}
      weight: {type: float}
      qty: {type: int, column: quantity, default: 0, min: -32768, max: 32767}
values:
  kind: [0, 2, null]
  weight: [0.5, null]
increment: [qty]
put:
  "51": {name: two, kind: 1, weight: 1.5, qty: 7}
  "9000": {name: made, kind: 0}
delete: ["101"]
refused:
  - {op: patch, id: "151", fields: {kind: 3}, says: refused}
  - {op: increment, id: "151", fields: {qty: 100000}, says: qty}
other: {version: "{n}", name: "'theirs {n}'"}
insert: "INSERT INTO item (id, name, version, quantity) VALUES (nextval('item_seq'), 'o', 0, 0)"
check:
  - SELECT last_value = 151 + 50 * {n} FROM item_seq
*/
CREATE SEQUENCE item_seq START WITH 1 INCREMENT BY 50;
CREATE TABLE item (id bigint NOT NULL, version integer NOT NULL DEFAULT 0, name varchar(255), kind smallint CHECK (kind BETWEEN 0 AND 2), weight float(53), quantity smallint NOT NULL DEFAULT 0, picture oid, PRIMARY KEY (id));
INSERT INTO item (id, version, name, kind, weight) SELECT nextval('item_seq'), 3, 'n' || n, 1, 0.1 FROM generate_series(1, 4) n;
