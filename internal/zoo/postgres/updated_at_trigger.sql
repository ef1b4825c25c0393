/*
By hand: `updated_at` set by a trigger and mapped as the database's, `moddatetime` style, only when something changed
entities:
  page:
    table: pages
    id: {type: string, max: 100}
    fields:
      body: {type: text}
      rev: {type: int, default: 0}
      updated_at: {type: time, from: database}
values: {body: ["one", "two", ""]}
increment: [rev]
put:
  /about: {body: about, rev: 1}
  "/a b?c=d&e#f": {body: odd}
delete: [/gone]
moved: [updated_at]
other: {editor: "'e{n}'"}
check:
  - SELECT bool_and(updated_at > '2026-06-01' OR id = '/gone') FROM pages WHERE id <> '/still'
  - SELECT updated_at IS NOT NULL FROM pages WHERE id = '/a b?c=d&e#f'
*/
CREATE TABLE pages (id text PRIMARY KEY, body text, rev int NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL DEFAULT now(), editor text);
CREATE FUNCTION page_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER moved BEFORE INSERT OR UPDATE ON pages FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION page_moved();
INSERT INTO pages (id, body) VALUES ('/', 'home'), ('/about', NULL), ('/gone', 'x');
