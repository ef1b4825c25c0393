/*
By hand: a STRICT table with ANY and BLOB, checks, a CHECK over an unmapped column
entities:
  part:
    table: parts
    id: {type: int}
    fields:
      name: {type: string, required: true}
      weight: {type: float}
      data: {type: bytes}
      stock: {type: int, default: 0}
values:
  name: ["x", "y"]
  weight: [0.1, 5, null]
  data: ["AP8=", "", null]
increment: [stock]
put: {"2": {name: two, stock: 1}, "30": {name: made, stock: 2}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {stock: -1}, says: refused}
  - {op: patch, id: "5", fields: {name: ""}, says: refused}
other: {shelf: "'s{n}'"}
*/
CREATE TABLE parts (id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (length(name) > 0), weight REAL, data BLOB, stock INT NOT NULL DEFAULT 0 CHECK (stock >= 0), shelf ANY, CHECK (shelf IS NULL OR stock >= 0)) STRICT;
INSERT INTO parts VALUES (1, 'one', 1.5, x'00', 5, 7), (2, 'x', NULL, NULL, 0, NULL), (3, 'x', NULL, NULL, 0, NULL), (4, 'x', NULL, NULL, 0, NULL), (5, 'x', NULL, NULL, 0, NULL);
