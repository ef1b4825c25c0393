/*
By hand: row security, the role of Afterwrite sees and writes the rows of one tenant alone
entities:
  doc:
    table: docs
    id: {type: int}
    fields:
      tenant: {type: string, max: 10, required: true}
      text: {type: text}
role: zoo_tenant
granted: |
  GRANT ALL ON ALL TABLES IN SCHEMA public TO zoo_tenant;
  GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO zoo_tenant;
values: {text: ["mine", null]}
put:
  "2": {tenant: a, text: two}
  "20": {tenant: a, text: made}
delete: ["3"]
hidden: ["4", "5"]
refused:
  - {op: put, id: "4", fields: {tenant: a, text: stolen}, says: refused}
  - {op: patch, id: "6", fields: {tenant: b}, says: refused}
other: {reads: "{n}"}
*/
DO $$ BEGIN CREATE ROLE zoo_tenant LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
CREATE TABLE docs (id serial PRIMARY KEY, tenant varchar(10) NOT NULL, text text, reads int NOT NULL DEFAULT 0);
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON docs TO zoo_tenant USING (tenant = 'a') WITH CHECK (tenant = 'a');
INSERT INTO docs (tenant, text) VALUES ('a', 'one'), ('a', 'x'), ('a', 'x'), ('b', 'secret'), ('b', 'secret'), ('a', 'six');
