/*
Prisma: `@@unique([tenantId, number])`, `@map`, an implicit default that only the client knows, JSONB, an optional relation set null
entities:
  invoice:
    table: invoices
    id: {type: int}
    unique: [[tenant, number]]
    fields:
      tenant: {type: string, max: 36, column: tenantId, required: true}
      number: {type: int, required: true}
      amount: {type: int, column: amount_cents, default: 0}
      customer: {type: int, column: customerId}
      lines: {type: json}
values:
  amount: [100, 0]
  customer: [1, null]
  lines: [[{"sku": "x", "n": 1}], null]
increment: [amount]
put:
  "2": {tenant: t1, number: 20, amount: 5, customer: 1, lines: []}
  "40": {tenant: t2, number: 1}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {number: 1}, says: refused-unique}
other: {'"sentAt"': "timestamp '2026-01-01' + interval '1 hour' * {n}"}
*/
CREATE TABLE "Customer" (id SERIAL PRIMARY KEY, name TEXT);
CREATE TABLE invoices (id SERIAL NOT NULL, "tenantId" TEXT NOT NULL, number INTEGER NOT NULL, amount_cents BIGINT NOT NULL DEFAULT 0, "customerId" INTEGER, lines JSONB, "sentAt" TIMESTAMP(3),
  CONSTRAINT invoices_pkey PRIMARY KEY (id), CONSTRAINT "invoices_customerId_fkey" FOREIGN KEY ("customerId") REFERENCES "Customer"(id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE UNIQUE INDEX "invoices_tenantId_number_key" ON invoices("tenantId", number);
INSERT INTO "Customer" (name) VALUES ('c');
INSERT INTO invoices ("tenantId", number, amount_cents, lines) SELECT 't1', n, n, '{"a":    1}' FROM generate_series(1, 4) n;
