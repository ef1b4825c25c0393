/*
Django: `integer PRIMARY KEY AUTOINCREMENT`, bool and datetime as it stores them, a check that json is valid, a column whose name has a capital
entities:
  note:
    table: app_note
    id: {type: int}
    fields:
      title: {type: string, max: 200, required: true}
      body: {type: text}
      views: {type: int, column: Views, default: 0}
      pinned: {type: bool}
      due: {type: time}
      extra: {type: json}
values:
  title: ["Zoë O'Brien", "x\ny"]
  pinned: [true, false]
  due: ["2026-01-31T12:34:56.789012Z", null]
  extra: [{"a": 1}, [1, 2]]
put:
  "2": {title: again, views: 3, pinned: false, extra: {}}
  "500": {title: made, pinned: true, extra: {}, views: 0}
increment: [views]
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {pinned: null}, says: refused}
foreign: {"5": due}
other:
  owner_id: "{n}"
  body: "'theirs {n}'"
insert: "INSERT INTO app_note (title, body, Views, pinned, extra, owner_id, created) VALUES ('other{n}', '', 0, 0, '{}', {n}, '2026-01-01 10:00:00')"
check:
  - SELECT count(*) >= {n} FROM app_note WHERE title LIKE 'other%'
*/
CREATE TABLE "app_note" (
  "id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "title" varchar(200) NOT NULL,
  "body" text NULL,
  "Views" integer NOT NULL CHECK ("Views" >= 0),
  "pinned" bool NOT NULL,
  "due" datetime NULL,
  "extra" text NOT NULL CHECK ((JSON_VALID("extra") OR "extra" IS NULL)),
  "owner_id" bigint NULL,
  "created" datetime NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "app_note_owner" ON "app_note" ("owner_id");
INSERT INTO app_note (title, body, Views, pinned, due, extra, owner_id) VALUES
  ('first', 'b', 1, 1, '2026-01-31 10:00:00.123456', '{"a":  1}', 1),
  ('second', NULL, 2, 0, NULL, '{}', NULL),
  ('third', '', 3, 0, NULL, '{}', NULL),
  ('fourth', '', 3, 0, NULL, '{}', NULL),
  ('fifth', '', 3, 0, 'tomorrow', '{}', NULL);
