/*
By hand: a rule that turns DELETE into an update, so that a deletion leaves its row
entities:
  account:
    table: accounts
    id: {type: int}
    fields: {name: {type: string, max: 40}}
values: {name: ["a", "b"]}
put: {"2": {name: two}}
refused:
  - {op: delete, id: "3", says: refused}
moved: [deleted]
check:
  - SELECT count(*) = 3 FROM accounts
*/
CREATE TABLE accounts (id int PRIMARY KEY, name varchar(40), deleted boolean NOT NULL DEFAULT false);
INSERT INTO accounts VALUES (1, 'one'), (2, 'x'), (3, 'three');
CREATE RULE soft AS ON DELETE TO accounts DO INSTEAD UPDATE accounts SET deleted = true WHERE id = OLD.id;
