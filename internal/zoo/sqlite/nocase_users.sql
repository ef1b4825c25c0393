/*
By hand: COLLATE NOCASE on a unique name, an index on an expression, generated columns, names in mixed case
entities:
  user:
    table: Users
    id: {type: int, column: ID}
    fields:
      name: {type: string, required: true, unique: true}
      email: {type: string}
      age: {type: int}
values: {email: ["U{id}@X"], age: [5, null]}
increment: []
put: {"2": {name: two, email: two@x}, "30": {name: thirty}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {name: FIVE}, says: refused-unique}
  - {op: patch, id: "6", fields: {email: FIVE@x}, says: refused-unique}
kept: ["5"]
moved: [Domain, Upper]
start:
  - {fields: {domain: {type: string}}, says: takes no value}
other: {Town: "'t{n}'"}
*/
CREATE TABLE Users (ID INTEGER PRIMARY KEY, Name TEXT NOT NULL COLLATE NOCASE UNIQUE, Email TEXT, Age INTEGER, Town TEXT, Domain TEXT GENERATED ALWAYS AS (substr(Email, instr(Email, '@') + 1)) VIRTUAL, Upper TEXT AS (upper(Name)) STORED);
CREATE UNIQUE INDEX users_mail ON Users (lower(Email));
INSERT INTO Users (ID, Name, Email, Age) VALUES (1, 'one', 'a@x', 1), (2, 'x', NULL, 2), (3, 'y', NULL, 3), (4, 'z', NULL, 4), (5, 'five', 'five@x', 5), (6, 'six', 'six@x', 6);
