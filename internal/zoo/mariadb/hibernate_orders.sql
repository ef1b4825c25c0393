/*
Hibernate on MySQL: `bit(1)`, `binary(16)` keys beside a text key, `@Version`, `datetime(6)`, an enum by name
entities:
  order:
    table: orders
    id: {type: string, max: 36, column: ref}
    fields:
      paid: {type: bool, required: true}
      state: {type: string, max: 20}
      total: {type: decimal, precision: 38, scale: 2}
values:
  paid: [true, false]
  state: [OPEN, SENT]
  total: ["0.01", "999999999999999999999999999999999999.99"]
put:
  R2: {paid: false, state: OPEN, total: "1.00"}
delete: [R3]
refused:
  - {op: patch, id: R4, fields: {state: LOST}, says: refused}
start:
  - {set: {id: {type: uuid, column: id}}, says: not a UUID}
other: {version: "{n}"}
*/
CREATE TABLE orders (id binary(16) NOT NULL, ref varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, version bigint NOT NULL DEFAULT 0, paid bit(1) NOT NULL, state enum('OPEN','SENT') DEFAULT NULL, total decimal(38,2), PRIMARY KEY (id), UNIQUE KEY UK_ref (ref));
ALTER TABLE orders MODIFY id binary(16) NOT NULL DEFAULT (unhex(replace(uuid(), '-', '')));
INSERT INTO orders (ref, paid, state, total) VALUES ('R1', b'1', 'OPEN', 1), ('R2', b'0', NULL, 1), ('R3', b'0', NULL, 1), ('R4', b'0', 'SENT', 1);
