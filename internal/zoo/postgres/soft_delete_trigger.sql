/*
By hand: a BEFORE DELETE trigger that marks the row and keeps it
entities:
  account:
    table: accounts
    id: {type: int}
    fields: {name: {type: string, max: 40}}
values: {name: ["a", "b"]}
put: {"2": {name: two}, "9": {name: nine}}
refused:
  - {op: delete, id: "3", says: refused}
moved: [deleted]
other: {seen: "{n}"}
*/
CREATE TABLE accounts (id int PRIMARY KEY, name varchar(40), deleted boolean NOT NULL DEFAULT false, seen int);
INSERT INTO accounts VALUES (1, 'one'), (2, 'x'), (3, 'three');
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE accounts SET deleted = true WHERE id = OLD.id; RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION keep();
