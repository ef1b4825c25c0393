/*
Rails: `id: :uuid`, citext, jsonb, an array of texts, a `tsvector` that a trigger fills, a GIN index
entities:
  article:
    table: articles
    id: {type: uuid}
    fields:
      email: {type: string, max: 100, unique: true}
      body: {type: text}
      tags: {type: text}
      data: {type: json}
      price: {type: decimal, precision: 12, scale: 2}
values:
  email: ["NEW{id}@Example.org"]
  body: ["some words", null]
  tags: ["{a,\"b c\"}", "{}"]
  data: [{"b": 1, "a": [1, 2.50]}, null]
  price: ["1.10", "0.00", null]
put:
  "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f": {email: p@x, body: b, tags: "{x}", data: {}, price: "3.00"}
delete: ["22222222-2222-4222-8222-222222222222"]
refused:
  - {op: patch, id: 33333333-3333-4333-8333-333333333333, fields: {tags: "{broken"}, says: refused}
  - {op: put, id: 44444444-4444-4444-8444-444444444444, fields: {email: C@X.ORG, tags: "{}"}, says: refused-unique}
start:
  - {fields: {data: {type: bytes}}, says: articles.data}
  - {fields: {price: {type: decimal, precision: 12, scale: 3}}, says: articles.price}
moved: [search]
other: {visits: "{n}"}
insert: "INSERT INTO articles (email, tags) VALUES ('o{n}@y', '{}')"
check:
  - SELECT count(*) = 0 FROM articles WHERE search IS DISTINCT FROM to_tsvector('simple', coalesce(body, '')) AND body IS NOT NULL
*/
CREATE EXTENSION citext;
CREATE TABLE articles (
  id uuid DEFAULT gen_random_uuid() NOT NULL PRIMARY KEY, email citext, body text, tags character varying[] DEFAULT '{}'::character varying[] NOT NULL,
  data jsonb, price numeric(12,2), search tsvector, visits int DEFAULT 0 NOT NULL
);
CREATE UNIQUE INDEX index_articles_on_email ON articles (email);
CREATE INDEX index_articles_on_search ON articles USING gin (search);
CREATE TRIGGER articles_search BEFORE INSERT OR UPDATE OF body ON articles FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(search, 'pg_catalog.simple', body);
INSERT INTO articles (id, email, body, tags, data, price) VALUES
  ('11111111-1111-4111-8111-111111111111', 'A@x.org', 'one two', '{}', '{"z": 1, "a": 2}', 10),
  ('22222222-2222-4222-8222-222222222222', NULL, NULL, '{NULL,"null"}', '[]', NULL),
  ('33333333-3333-4333-8333-333333333333', 'c@x.org', '', '{a}', 'null', 0);
