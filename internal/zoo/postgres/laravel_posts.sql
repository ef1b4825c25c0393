/*
Laravel on PostgreSQL: an enum as varchar with a check, `timestamp(0)`, soft deletes, a unique slug among live rows, `inet`
entities:
  post:
    table: posts
    id: {type: int}
    fields:
      slug: {type: string, max: 255, required: true, unique: {where: "deleted_at is null"}}
      state: {type: string, max: 255, default: draft}
      views: {type: int, default: 0}
      published_at: {type: time, from: database}
      ip: {type: text}
values:
  state: [live, draft]
  published_at: ["2026-01-31T12:34:56.5Z", null]
  ip: ["10.1.2.3", "::1", null]
increment: [views]
put:
  "2": {slug: two, state: draft, views: 1, published_at: null}
  "30": {slug: made}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {state: gone}, says: refused}
  - {op: patch, id: "5", fields: {slug: one}, says: refused-unique}
  - {op: patch, id: "6", fields: {ip: nowhere}, says: refused}
other: {updated_at: "timestamp '2026-01-01' + interval '1 second' * {n}"}
insert: "INSERT INTO posts (slug, state, created_at) VALUES ('o{n}', 'draft', now())"
*/
CREATE TABLE posts (
  id bigserial NOT NULL PRIMARY KEY, slug varchar(255) NOT NULL, state varchar(255) CHECK (state IN ('draft', 'live')) NOT NULL DEFAULT 'draft',
  views integer NOT NULL DEFAULT '0', published_at timestamp(0) without time zone NULL, ip inet NULL,
  created_at timestamp(0) without time zone NULL, updated_at timestamp(0) without time zone NULL, deleted_at timestamp(0) without time zone NULL
);
CREATE UNIQUE INDEX posts_slug_unique ON posts (slug) WHERE (deleted_at IS NULL);
INSERT INTO posts (slug, published_at, ip) VALUES ('one', '2026-01-01 10:00:00', '192.168.0.0/16'), ('two', NULL, NULL), ('three', NULL, NULL), ('four', NULL, NULL), ('five', NULL, NULL), ('six', NULL, NULL);
INSERT INTO posts (slug, deleted_at) VALUES ('one', now());
