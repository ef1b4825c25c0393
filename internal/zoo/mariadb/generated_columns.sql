/*
By hand: virtual and stored generated columns, a unique key on one that stands for a partial index, an invisible column
entities:
  coupon:
    table: coupons
    id: {type: int}
    fields:
      code: {type: string, max: 30, required: true}
      used: {type: int, default: 0}
      deleted: {type: bool, default: false}
values: {code: ["c{id}"], deleted: [true, false]}
increment: [used]
put: {"2": {code: two, used: 1, deleted: true}, "20": {code: twenty}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {code: five}, says: refused-unique}
kept: ["5"]
moved: [twice, live]
start:
  - {fields: {half: {type: int, column: twice}}, says: takes no value}
other: {secret: "{n}"}
*/
CREATE TABLE coupons (id int PRIMARY KEY, code varchar(30) NOT NULL, used int DEFAULT 0, deleted boolean DEFAULT false, twice int AS (used * 2) VIRTUAL, live varchar(30) AS (IF(deleted, NULL, code)) STORED UNIQUE, secret int NOT NULL DEFAULT 7 INVISIBLE) DEFAULT CHARSET=utf8mb4;
INSERT INTO coupons (id, code, deleted) VALUES (1, 'one', false), (2, 'one', true), (3, 'three', false), (4, 'four', false), (5, 'five', false);
