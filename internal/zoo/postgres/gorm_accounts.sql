/*
gorm: `bigserial`, `timestamptz`, soft deletes, bytea, a numeric without bounds, a double
entities:
  account:
    table: accounts
    id: {type: int}
    fields:
      name: {type: string, max: 64, required: true}
      avatar: {type: bytes, max: 1000}
      balance: {type: decimal, precision: 30, scale: 6}
      ratio: {type: float}
      deleted_at: {type: time}
      hits: {type: int, default: 0}
    rank: {by: hits}
values:
  name: ["a'b\"c`d", "\u0001 control"]
  avatar: ["AP8=", "", null]
  balance: ["0.000001", "-123456789012345678901234.123456"]
  ratio: [0.1, -0.0, 1.0e+300, 5.0e-324, null]
  deleted_at: ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", null]
increment: [hits]
put:
  "2": {name: two, avatar: "", balance: "1.000000", ratio: 2.5, hits: 9007199254740990}
  "11": {name: eleven}
delete: ["3"]
other: {updated_at: "timestamptz '2026-01-01' + interval '1 second' * {n}"}
insert: "INSERT INTO accounts (name) VALUES ('other')"
foreign: {"4": balance, "5": ratio, "6": deleted_at}
*/
CREATE TABLE "accounts" ("id" bigserial, "created_at" timestamptz DEFAULT now(), "updated_at" timestamptz, "deleted_at" timestamptz, "name" varchar(64) NOT NULL, "avatar" bytea, "balance" numeric, "ratio" double precision, "hits" bigint DEFAULT 0, PRIMARY KEY ("id"));
CREATE INDEX IF NOT EXISTS "idx_accounts_deleted_at" ON "accounts" ("deleted_at");
INSERT INTO accounts (name, avatar, balance, ratio, hits) VALUES ('one', '\x00ff', 1.5, 0.1, 5), ('two', NULL, NULL, NULL, 0), ('three', '', 0, 0, 0);
INSERT INTO accounts (name, balance) VALUES ('four', 'NaN');
INSERT INTO accounts (name, ratio) VALUES ('five', 'Infinity');
INSERT INTO accounts (name, deleted_at) VALUES ('six', 'infinity');
