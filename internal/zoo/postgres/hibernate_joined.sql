/*
Hibernate: joined inheritance behind a view with INSTEAD OF triggers, over which the entity is
entities:
  staff:
    table: staff
    id: {type: int}
    fields: {name: {type: string, max: 50}}
start:
  - {fields: {}, says: "a column of a view, which has no unique index"}
*/
CREATE TABLE person (id bigint PRIMARY KEY, name varchar(50));
CREATE TABLE employee (id bigint PRIMARY KEY REFERENCES person, salary numeric(12,2));
CREATE VIEW staff AS SELECT p.id, p.name, e.salary FROM person p JOIN employee e USING (id);
CREATE FUNCTION staff_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE person SET name = NEW.name WHERE id = NEW.id; RETURN NEW; END $$;
CREATE TRIGGER staff_written INSTEAD OF UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION staff_write();
INSERT INTO person VALUES (1, 'a');
INSERT INTO employee VALUES (1, 10);
