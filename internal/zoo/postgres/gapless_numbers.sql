/*
By hand: invoice numbers without gaps from a counter's row, NULLS NOT DISTINCT, a default that calls a function
entities:
  invoice:
    table: invoices
    id: {type: string, max: 26}
    fields:
      number: {type: int, from: database}
      customer: {type: string, max: 20}
      paid: {type: bool, default: false}
values:
  customer: ["c {id}", "d {id}"]
  paid: [true, false]
put:
  two: {customer: second, number: 2}
  new: {customer: third}
delete: [three]
kept: [five]
refused:
  - {op: patch, id: four, fields: {customer: null}, says: refused-unique}
moved: [number]
other: {note: "'n{n}'"}
check:
  - SELECT n = 6 FROM numbers
  - SELECT token <> '' FROM invoices WHERE id = 'new'
*/
CREATE TABLE numbers (n bigint NOT NULL);
INSERT INTO numbers VALUES (0);
CREATE TABLE invoices (id varchar(26) PRIMARY KEY, number bigint NOT NULL, customer varchar(20), paid boolean, note text, token text NOT NULL DEFAULT md5(random()::text), UNIQUE NULLS NOT DISTINCT (customer));
CREATE FUNCTION draw() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE numbers SET n = n + 1 RETURNING n INTO NEW.number; RETURN NEW; END $$;
CREATE TRIGGER draw BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION draw();
INSERT INTO invoices (id, customer) VALUES ('one', 'a'), ('two', 'b'), ('three', 'c'), ('four', 'd'), ('five', NULL);
