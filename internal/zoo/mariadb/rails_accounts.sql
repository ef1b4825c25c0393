/*
Rails on MySQL: `datetime(6)`, `tinyint(1)`, a unique index that folds case, `ON UPDATE CURRENT_TIMESTAMP`
entities:
  account:
    table: accounts
    id: {type: int}
    fields:
      email: {type: string, max: 255, required: true, unique: true}
      admin: {type: bool, default: false}
      logins: {type: int, default: 0, min: 0, max: 2147483647}
      seen_at: {type: time}
      bio: {type: text, max: 10000}
values:
  admin: [true, false, null]
  seen_at: ["2026-01-31T12:34:56.789012Z", "1000-01-01T00:00:00Z", null]
  bio: ["a\\b'c\"d", null, ""]
increment: [logins]
put:
  "2": {email: two@x, admin: true, logins: 3, seen_at: null}
  "50": {email: made@x}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {email: FIVE@x}, says: refused-unique}
kept: ["5"]
moved: [updated_at]
other: {locale: "'l{n}'"}
insert: "INSERT INTO accounts (email) VALUES ('o{n}@y')"
check:
  - SELECT min(updated_at > '2026-06-01') FROM accounts WHERE id IN (1, 2)
*/
CREATE TABLE accounts (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, email varchar(255) NOT NULL, admin tinyint(1) DEFAULT 0, logins int NOT NULL DEFAULT 0, seen_at datetime(6), bio text, locale varchar(10),
  created_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), updated_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  UNIQUE INDEX index_accounts_on_email (email)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci;
INSERT INTO accounts (email, admin, updated_at) VALUES ('one@x', 1, '2026-01-01'), ('two@x', 0, '2026-01-01'), ('three@x', NULL, '2026-01-01'), ('four@x', 0, '2026-01-01'), ('five@x', 0, '2026-01-01');
