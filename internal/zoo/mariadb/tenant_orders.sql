/*
By hand: a tenant table with partitions by key, whose key is a tenant's name and a number
entities:
  order:
    table: tenant_orders
    id: {columns: [tenant, no]}
    fields:
      tenant: {type: string, max: 40}
      no: {type: int}
      state: {type: string, max: 10, required: true}
      total: {type: decimal, precision: 12, scale: 2}
      n: {type: int, default: 0}
values:
  state: [open, paid]
  total: ["12.50", null]
increment: [n]
put:
  "acme~1": {state: new, total: "1.00", n: 1}
  "a=2Fb~-7": {state: new}
  "é~18446": {state: new}
delete: ["acme~3"]
refused:
  - {op: put, id: "acme~9", fields: {state: much too long}, says: state}
  - {op: put, id: "acme~2", fields: {no: 3, state: x}, says: is 2 in the id}
other: {note: "'{n}'"}
insert: INSERT INTO tenant_orders (tenant, no, state) VALUES ('other', {n}, 'new')
*/
CREATE TABLE tenant_orders (tenant varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, no bigint NOT NULL, state varchar(10) NOT NULL, total decimal(12,2), n int NOT NULL DEFAULT 0, note text, PRIMARY KEY (tenant, no)) PARTITION BY KEY (tenant) PARTITIONS 3;
INSERT INTO tenant_orders (tenant, no, state, total) VALUES ('acme', 1, 'open', 1), ('acme', 2, 'open', 2), ('acme', 3, 'open', 3), ('Acme', 1, 'open', 4), ('', 1, 'open', 5);
