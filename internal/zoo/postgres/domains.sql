/*
By hand: domains with checks and not null, a composite type, money, bit strings and XML, all under texts
entities:
  thing:
    table: things
    id: {type: int}
    fields:
      mail: {type: string, max: 100}
      share: {type: decimal, precision: 5, scale: 2}
      cost: {type: text}
      bits: {type: text}
      doc: {type: text}
      at: {type: text, column: place}
values:
  mail: ["x@y", null]
  share: ["99.99", "0.00"]
  cost: ["$1,234.50", "3"]
  bits: ["101"]
  doc: ["<a/>", null]
  at: ["(1,2)", null]
put:
  "2": {mail: p@q, share: "1.00", cost: "1", bits: "000"}
  "8": {share: "2.00"}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {mail: not a mail}, says: refused}
  - {op: patch, id: "5", fields: {share: "100.01"}, says: refused}
  - {op: patch, id: "6", fields: {share: null}, says: refused}
  - {op: patch, id: "7", fields: {bits: "10"}, says: refused}
other: {size: "row('n', {n})::dims"}
*/
CREATE DOMAIN mail AS varchar(100) CHECK (VALUE ~ '@');
CREATE DOMAIN percent AS numeric(5,2) NOT NULL CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE dims AS (unit text, n int);
CREATE TABLE things (id smallint PRIMARY KEY, mail mail, share percent, cost money, bits bit(3), doc xml, place point, size dims);
INSERT INTO things (id, mail, share, cost, bits, doc, place) SELECT n, 'a@b', 5, 10, B'011', '<x>1</x>', '(0,0)' FROM generate_series(1, 7) n;
