/*
Django: a range with an exclusion constraint (btree_gist), an array of ints, a date, a duration
entities:
  booking:
    table: rooms_booking
    id: {type: int}
    fields:
      room: {type: int, required: true, column: room_id}
      during: {type: text, required: true}
      day: {type: string, max: 10}
      length: {type: text}
      seats: {type: text}
      guests: {type: int, default: 1}
values:
  day: ["2026-02-28", null]
  length: ["01:30:00", "1 day"]
  seats: ["{1,2}", "{}"]
increment: [guests]
put:
  "2": {room: 2, during: "[2026-01-02,2026-01-03)", day: "2026-01-02", seats: "{}", guests: 1}
  "60": {room: 9, during: "[2026-01-02,2026-01-03)", seats: "{1}"}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {during: "[2026-01-01,2026-01-05)", room: 1}, says: refused}
  - {op: patch, id: "5", fields: {day: "2026-02-30"}, says: refused}
  - {op: patch, id: "6", fields: {during: "nothing"}, says: refused}
start:
  - {fields: {day: {type: time}}, says: "drops the time of day"}
other: {note: "'n{n}'"}
*/
CREATE EXTENSION btree_gist;
CREATE TABLE rooms_booking (
  id serial PRIMARY KEY, room_id int NOT NULL, during daterange NOT NULL, day date, length interval, seats integer[] NOT NULL DEFAULT '{}', guests int NOT NULL DEFAULT 1, note text,
  CONSTRAINT rooms_no_overlap EXCLUDE USING gist (room_id WITH =, during WITH &&)
);
INSERT INTO rooms_booking (room_id, during, day, length, seats)
  SELECT n, '[2026-01-01,2026-01-04)', '2026-01-01', '2 hours', '{7}' FROM generate_series(1, 6) n;
