/*
By hand: a table partitioned by the hash of its key, with a trigger on it and a local index on one partition
entities:
  device:
    table: devices
    id: {type: string, max: 40}
    fields:
      owner: {type: string, max: 40}
      beats: {type: int, default: 0}
      state: {type: json}
values:
  owner: ["someone", null]
  state: [{"on": true}, {}]
increment: [beats]
put:
  "dev 2": {owner: x, beats: 1, state: null}
  "ünï/new": {owner: y, state: []}
delete: ["dev 3"]
refused:
  - {op: patch, id: dev 4, fields: {owner: nobody}, says: refused}
moved: [touched]
other: {firmware: "'1.{n}'"}
insert: "INSERT INTO devices (id) VALUES ('other {n}')"
check:
  - SELECT count(*) = 1 FROM devices WHERE id = 'ünï/new' AND touched IS NOT NULL
*/
CREATE TABLE devices (id text PRIMARY KEY, owner varchar(40) CHECK (owner <> 'nobody'), beats bigint NOT NULL DEFAULT 0, state json, firmware text, touched timestamptz) PARTITION BY HASH (id);
CREATE TABLE devices_0 PARTITION OF devices FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE devices_1 PARTITION OF devices FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE devices_2 PARTITION OF devices FOR VALUES WITH (MODULUS 3, REMAINDER 2);
CREATE INDEX ON devices_1 (owner);
CREATE FUNCTION device_touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON devices FOR EACH ROW EXECUTE FUNCTION device_touch();
INSERT INTO devices (id, owner) SELECT 'dev ' || n, 'o' FROM generate_series(1, 6) n;
