/*
Citus and Rails: a tenant table, in which every key, unique index and reference begins with the tenant
entities:
  invoice:
    table: invoices
    id: {columns: [tenant_id, id]}
    unique: [[tenant_id, number]]
    fields:
      tenant_id: {type: int}
      no: {type: int, column: id}
      number: {type: string, max: 20, required: true}
      customer_no: {type: int, column: customer_id}
      cents: {type: int, default: 0}
      note: {type: text}
    rank: {by: cents}
values:
  note: [paid, null, "{id}"]
  cents: [1, 2000000000]
increment: [cents]
put:
  "1~1": {number: A-1, customer_no: 1, cents: 5}
  "1~50": {number: A-50, customer_no: 2, note: new}
  "3~1": {number: A-1, customer_no: 1}
delete: ["2~3"]
refused:
  - {op: put, id: "2~9", fields: {number: A-1}, says: refused-unique}
  - {op: put, id: "1~9", fields: {number: A-9, customer_no: 77}, says: refused-foreign-key}
  - {op: patch, id: "1~3", fields: {tenant_id: 2}, says: is 1 in the id}
start:
  - {set: {id: {columns: [customer_id, id]}}, says: "{columns: [tenant_id, id]}"}
other: {seen_at: "timestamptz '2026-01-01' + interval '1 minute' * {n}"}
insert: INSERT INTO invoices (tenant_id, id, number) VALUES (9, {n}, 'I-{n}')
check:
  - SELECT count(*) = 1 FROM invoices WHERE tenant_id = 1 AND id = 50 AND note = 'new'
  - SELECT created_at IS NOT NULL FROM invoices WHERE tenant_id = 3 AND id = 1
*/
CREATE TABLE customers (tenant_id bigint, id bigint, PRIMARY KEY (tenant_id, id));
CREATE TABLE invoices (tenant_id bigint, id bigint, number varchar(20) NOT NULL, customer_id bigint, cents integer NOT NULL DEFAULT 0, note text,
  seen_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, number),
  FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id) ON DELETE CASCADE);
INSERT INTO customers SELECT t, n FROM generate_series(1, 3) t, generate_series(1, 3) n;
INSERT INTO invoices (tenant_id, id, number, customer_id, cents) SELECT t, n, 'A-' || n, n, 10 * t + n FROM generate_series(1, 2) t, generate_series(1, 3) n;
