/*
By hand: list partitions by a text key's own first letter through a mapped region that is part of no key of ours
entities:
  node:
    table: nodes
    id: {type: string, max: 20}
    fields:
      weight: {type: int, default: 1}
values: {weight: [5, -5]}
increment: [weight]
put: {"eu": {weight: 3}}
refused:
  - {op: put, id: asia, fields: {weight: 1}, says: refused}
other: {note: "'{n}'"}
*/
CREATE TABLE nodes (id varchar(20) PRIMARY KEY, weight int, note text) PARTITION BY LIST (id);
CREATE TABLE nodes_west PARTITION OF nodes FOR VALUES IN ('eu', 'us');
CREATE TABLE nodes_south PARTITION OF nodes FOR VALUES IN ('af', 'oc');
INSERT INTO nodes VALUES ('us', 1), ('af', 2);
