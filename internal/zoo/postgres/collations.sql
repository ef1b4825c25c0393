/*
By hand: a nondeterministic ICU collation on a unique column, the C collation on the key, char(n) and names that are key words
entities:
  group:
    table: group
    id: {type: string, max: 20, column: select}
    fields:
      order: {type: string, max: 20, unique: true, column: order}
      code: {type: string, max: 5, column: from}
      n: {type: int, default: 0, column: "limit"}
values:
  order: ["Straße {id}", "naïve {id}"]
  code: ["ab", "abcde", null]
increment: [n]
put:
  "A ": {order: x, code: a, n: 1}
  "ä": {order: y}
delete: ["c"]
refused:
  - {op: patch, id: d, fields: {order: ALPHA}, says: refused-unique}
kept: [e]
other: {'"where"': "'w{n}'"}
*/
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE "group" ("select" text COLLATE "C" PRIMARY KEY, "order" text COLLATE nocase UNIQUE, "from" char(5), "limit" int, "where" text);
INSERT INTO "group" VALUES ('a', 'one', 'x', 0), ('B', 'two', 'yy', 1), ('A ', 'three', 'zzzzz', 2), ('c', 'four', NULL, 3), ('d', 'five', NULL, 3);
INSERT INTO "group" ("select", "order") VALUES ('e', 'alpha');
