/*
Django on MariaDB: `char(32)` uuids, json with `json_valid`, `double precision`, `longblob`, a foreign key
entities:
  event:
    table: app_event
    id: {type: int}
    fields:
      name: {type: string, max: 100, required: true}
      payload: {type: json, required: true}
      weight: {type: float}
      raw: {type: bytes, max: 1000}
      place: {type: int, column: place_id}
values:
  name: ["n", "日本"]
  payload: [{"b": 1, "a": "ü"}, []]
  weight: [0.1, 1.0e+300, null]
  raw: ["AP8=", null]
  place: [1, null]
put:
  "2": {name: two, payload: {}, weight: 1.5, raw: "", place: 1}
  "60": {name: made, payload: {}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {place: 9}, says: refused-foreign-key}
  - {op: patch, id: "5", fields: {payload: null}, says: payload}
other: {token: "concat('t', {n})"}
*/
CREATE TABLE app_place (id int AUTO_INCREMENT PRIMARY KEY, name varchar(50));
CREATE TABLE app_event (
  id bigint AUTO_INCREMENT NOT NULL PRIMARY KEY, name varchar(100) NOT NULL, token char(32) NULL, payload longtext NOT NULL CHECK (JSON_VALID(`payload`)), weight double precision NULL, raw longblob NULL, place_id int NULL,
  CONSTRAINT app_event_place_fk FOREIGN KEY (place_id) REFERENCES app_place (id)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
INSERT INTO app_place (name) VALUES ('a');
INSERT INTO app_event (name, payload, weight, raw) VALUES ('one', '{"x":  1}', 0.5, x'00ff'), ('two', '[]', NULL, NULL), ('three', 'null', NULL, NULL), ('four', '1', NULL, NULL), ('five', '1', NULL, NULL);
