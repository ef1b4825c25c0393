/*
Rails: single-table inheritance, `lock_version`, an enum as an integer, timestamps that have no default in the table
entities:
  vehicle:
    table: vehicles
    id: {type: int}
    fields:
      type: {type: string, max: 50, required: true}
      label: {type: string, max: 100}
      status: {type: int, min: 0, max: 2}
      mileage: {type: int}
      made: {type: time, column: created_at, required: true}
      seen: {type: time, column: updated_at, required: true}
values:
  label: ["Quoted \"x\"", null, "tab\there"]
  status: [2, 1]
increment: [mileage]
put:
  "2": {type: Car, label: put, status: 0, mileage: 5, made: "2025-01-01T00:00:00Z", seen: "2026-01-01T00:00:00.5Z"}
  "900": {type: Truck, status: 1, mileage: 0, made: "2026-01-01T00:00:00Z", seen: "2026-01-01T00:00:00Z"}
delete: ["3"]
refused:
  - {op: put, id: "4", fields: {label: x}, says: required}
  - {op: patch, id: "4", fields: {status: 7}, says: status}
other:
  lock_version: "{n}"
*/
CREATE TABLE vehicles (
  id bigserial PRIMARY KEY, type character varying NOT NULL, label character varying, status integer DEFAULT 0 NOT NULL,
  mileage bigint DEFAULT 0, lock_version integer DEFAULT 0 NOT NULL,
  created_at timestamp(6) without time zone NOT NULL, updated_at timestamp(6) without time zone NOT NULL
);
CREATE INDEX index_vehicles_on_type ON vehicles (type);
INSERT INTO vehicles (type, label, status, mileage, created_at, updated_at) VALUES
  ('Car', 'one', 0, 9223372036854775000, '2026-01-31 23:59:59.999999', '2026-01-31'), ('Car', NULL, 1, 0, now(), now()),
  ('Truck', '', 2, 100, now(), now()), ('Truck', 'x', 2, 100, '0001-01-01', '9999-12-31 23:59:59.999999');
