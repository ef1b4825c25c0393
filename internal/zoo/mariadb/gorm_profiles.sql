/*
gorm on MySQL: `longtext` without a length, `datetime(3)` that rounds, a unique index on a prefix, soft deletes
entities:
  profile:
    table: profiles
    id: {type: int}
    fields:
      nick: {type: string, max: 100}
      seen: {type: time, from: database}
      points: {type: int, default: 0}
    rank: {by: points}
values:
  nick: ["nick-{id}", null]
  seen: ["2026-01-31T12:34:56.789012Z", null]
increment: [points]
put:
  "2": {nick: two, points: 100, seen: null}
  "31": {nick: made}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {nick: "the same teN"}, says: refused-unique}
kept: ["5"]
start:
  - {fields: {seen: {type: time}}, says: rounds to 3 digits of a second}
other: {updated_at: "timestamp '2026-01-01 00:00:00' + interval {n} second"}
*/
CREATE TABLE `profiles` (`id` bigint unsigned AUTO_INCREMENT, `created_at` datetime(3) NULL, `updated_at` datetime(3) NULL, `deleted_at` datetime(3) NULL, `nick` longtext, `seen` datetime(3) NULL, `points` bigint DEFAULT 0, PRIMARY KEY (`id`), INDEX `idx_profiles_deleted_at` (`deleted_at`), UNIQUE INDEX uni_nick (nick(10))) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO profiles (nick, seen, points) VALUES ('one', '2026-01-31 10:00:00.123', 5), ('two', NULL, 0), ('three', NULL, 7), ('four', NULL, 7), ('the same te', NULL, 1);
