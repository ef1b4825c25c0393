/*
By hand: partitions by month, written by both columns of the key, with an index of one partition's own
entities:
  measurement:
    table: measurements
    id: {columns: [sensor_id, taken_at]}
    fields:
      sensor_id: {type: int}
      taken_at: {type: time}
      value: {type: float}
      n: {type: int, default: 0}
values:
  value: [0.1, null, 1.0e+300]
increment: [n]
put:
  "1~2026-01-02T00:00:00Z": {value: 5, n: 1}
  "1~2026-02-28T23:59:59.999999Z": {value: 1}
delete: ["2~2026-02-02T00:00:00Z"]
refused:
  - {op: put, id: "1~2027-01-01T00:00:00Z", fields: {value: 1}, says: no partition}
  - {op: patch, id: "3~2026-01-02T00:00:00Z", fields: {taken_at: "2026-02-02T00:00:00Z"}, says: cannot be changed}
start:
  - {set: {id: {columns: [sensor_id, n]}}, fields: {n: {type: int}}, says: "{columns: [sensor_id, taken_at]}"}
other: {raw: "'{n}'"}
check:
  - SELECT count(*) = 1 FROM measurements_2026_02 WHERE sensor_id = 1 AND value = 1 AND taken_at = '2026-02-28 23:59:59.999999Z'
  - SELECT count(*) = 0 FROM measurements_2026_02 WHERE sensor_id = 2
*/
CREATE TABLE measurements (taken_at timestamptz NOT NULL, sensor_id integer NOT NULL, value double precision, n bigint NOT NULL DEFAULT 0, raw text, PRIMARY KEY (sensor_id, taken_at)) PARTITION BY RANGE (taken_at);
CREATE TABLE measurements_2026_01 PARTITION OF measurements FOR VALUES FROM ('2026-01-01Z') TO ('2026-02-01Z');
CREATE TABLE measurements_2026_02 PARTITION OF measurements FOR VALUES FROM ('2026-02-01Z') TO ('2026-03-01Z');
CREATE INDEX ON measurements_2026_01 (value);
INSERT INTO measurements (taken_at, sensor_id, value) SELECT m, s, s FROM unnest('{2026-01-02Z,2026-02-02Z}'::timestamptz[]) m, generate_series(1, 3) s;
