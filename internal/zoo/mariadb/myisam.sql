/*
By hand: a MyISAM table, which keeps what a transaction undoes
entities:
  hit:
    table: hits
    id: {type: int}
    fields: {n: {type: int, default: 0}}
start:
  - {fields: {}, says: transaction}
*/
CREATE TABLE hits (id int PRIMARY KEY, n bigint) ENGINE=MyISAM;
INSERT INTO hits VALUES (1, 1);
