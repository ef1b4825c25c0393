/*
Rails, Devise and paranoia: bigserial, `timestamp(6)`, counters, a partial unique index among rows that are not deleted, null where a form was empty
entities:
  user:
    table: users
    id: {type: int}
    fields:
      email: {type: string, max: 255, required: true, unique: {where: "deleted_at IS NULL"}}
      name: {type: string, max: 255}
      sign_in_count: {type: int, min: 0, max: 2147483647, default: 0}
      settings: {type: json}
      deleted_at: {type: time}
values:
  name: ["Zoë O'Brien", "", null, " leading and trailing ", "日本語 \\ %_"]
  settings: [{"theme": "dark", "n": 1.10}, null, {}]
put:
  "3": {email: c@example.org, name: Carol, sign_in_count: 7, settings: {}}
  "1000": {email: made@example.org, name: Made}
increment: [sign_in_count]
delete: ["4"]
refused:
  - {op: patch, id: "5", fields: {email: a@example.org}, says: refused-unique}
  - {op: patch, id: "6", fields: {email: null}, says: email}
  - {op: patch, id: "7", fields: {deleted_at: null}, says: refused-unique}
start:
  - {fields: {settings: {type: bytes}}, says: which would change values of user.settings}
other:
  last_sign_in_ip: "('10.0.0.' || ({n} % 250))::inet"
  updated_at: "timestamp '2026-05-01' + interval '1 second' * {n}"
insert: "INSERT INTO users (email, encrypted_password, created_at, updated_at) VALUES ('other{n}@example.org', 'x', now(), now())"
check:
  - SELECT count(*) >= {n} FROM users WHERE email LIKE 'other%'
  - SELECT bool_and(encrypted_password = 'x' OR encrypted_password LIKE '$2a$%' OR encrypted_password = '') FROM users
*/
CREATE TABLE users (
  id bigserial PRIMARY KEY,
  email character varying DEFAULT ''::character varying NOT NULL,
  encrypted_password character varying DEFAULT ''::character varying NOT NULL,
  name character varying,
  sign_in_count integer DEFAULT 0 NOT NULL,
  last_sign_in_ip inet,
  settings json DEFAULT '{}'::json,
  deleted_at timestamp(6) without time zone,
  created_at timestamp(6) without time zone DEFAULT now() NOT NULL,
  updated_at timestamp(6) without time zone DEFAULT now() NOT NULL
);
CREATE UNIQUE INDEX index_users_on_email ON users USING btree (email) WHERE (deleted_at IS NULL);
CREATE INDEX index_users_on_deleted_at ON users USING btree (deleted_at);
INSERT INTO users (email, encrypted_password, name, sign_in_count, settings, deleted_at) VALUES
  ('a@example.org', '$2a$12$abc', 'Ann', 1, '{"theme":  "light"}', NULL),
  ('b@example.org', '$2a$12$abc', NULL, 0, NULL, NULL),
  ('c@example.org', '$2a$12$abc', '', 41, '{}', NULL),
  ('d@example.org', '$2a$12$abc', 'Dan', 3, '{}', NULL),
  ('e@example.org', '$2a$12$abc', 'Eve', 3, '{}', NULL),
  ('f@example.org', '$2a$12$abc', 'Fay', 3, '{}', NULL),
  ('a@example.org', '$2a$12$abc', 'Ann, as she was', 9, '{}', '2025-12-31 23:59:59.999999');
