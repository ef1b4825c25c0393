/*
EF Core: names in Pascal case, `uuid` keys, a stored generated column with a unique index, owned types as prefixed columns, xmin as the row version
entities:
  customer:
    table: Customers
    id: {column: Id, type: uuid}
    fields:
      email: {type: string, max: 256, column: Email}
      city: {type: string, max: 100, column: Address_City}
      credit: {type: decimal, precision: 18, scale: 2, column: Credit, default: "0"}
      deleted: {type: bool, column: IsDeleted, default: false}
      orders: {type: int, column: OrderCount, default: 0}
values:
  email: ["Some{id}@X.org", null]
  city: ["Köln", null]
  credit: ["-0.01", "9999999999999999.99"]
  deleted: [true, false]
increment: [orders]
put:
  "00000000-0000-0000-0000-000000000002": {email: B@x, city: c, credit: "1.00", deleted: false, orders: 9}
  "00000000-0000-0000-0000-0000000000ff": {email: made@x}
kept: ["00000000-0000-0000-0000-000000000005"]
delete: ["00000000-0000-0000-0000-000000000003"]
refused:
  - {op: patch, id: 00000000-0000-0000-0000-000000000004, fields: {email: E@X}, says: refused-unique}
start:
  - {fields: {folded: {type: string, column: NormalizedEmail}}, says: GENERATED ALWAYS}
moved: [NormalizedEmail]
other: {'"Notes"': "'note {n}'"}
*/
CREATE TABLE "Customers" (
  "Id" uuid NOT NULL, "Email" character varying(256), "NormalizedEmail" character varying(256) GENERATED ALWAYS AS (upper("Email")) STORED,
  "Address_City" text, "Credit" numeric(18,2) NOT NULL DEFAULT 0.0, "IsDeleted" boolean NOT NULL DEFAULT FALSE, "OrderCount" integer NOT NULL DEFAULT 0, "Notes" text,
  CONSTRAINT "PK_Customers" PRIMARY KEY ("Id")
);
CREATE UNIQUE INDEX "IX_Customers_NormalizedEmail" ON "Customers" ("NormalizedEmail");
INSERT INTO "Customers" ("Id", "Email", "Address_City", "Credit") VALUES
  ('00000000-0000-0000-0000-000000000001', 'a@x', 'Bonn', 5), ('00000000-0000-0000-0000-000000000002', 'b@x', NULL, 0),
  ('00000000-0000-0000-0000-000000000003', NULL, NULL, 0), ('00000000-0000-0000-0000-000000000004', 'd@x', '', 0), ('00000000-0000-0000-0000-000000000005', 'e@x', '', 0);
