/*
By hand: statement triggers with transition tables that keep sums, UPDATE OF one column, a deferred constraint trigger
entities:
  line:
    table: lines
    id: {type: int}
    fields:
      basket: {type: int, required: true}
      qty: {type: int, required: true, default: 1}
      text: {type: string, max: 20}
values:
  qty: [3, 4]
  text: ["x", null]
increment: [qty]
put: {"2": {basket: 1, qty: 2}, "30": {basket: 2, qty: 1}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {qty: 1000}, says: refused}
other: {shelf: "{n}"}
check:
  - SELECT bool_and(s.total = (SELECT sum(qty) FROM lines l WHERE l.basket = s.basket)) FROM sums s
*/
CREATE TABLE lines (id int PRIMARY KEY, basket int NOT NULL, qty int NOT NULL, text varchar(20), shelf int);
CREATE TABLE sums (basket int PRIMARY KEY, total bigint);
CREATE FUNCTION sum_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM pg_advisory_xact_lock(4711); -- two transactions that sum up at once would each miss the other's lines
  INSERT INTO sums SELECT basket, sum(qty) FROM lines WHERE basket IN (SELECT basket FROM changed) GROUP BY basket
  ON CONFLICT (basket) DO UPDATE SET total = excluded.total; RETURN NULL; END $$;
CREATE TRIGGER up_i AFTER INSERT ON lines REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sum_up();
CREATE TRIGGER up_u AFTER UPDATE ON lines REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sum_up();
CREATE TRIGGER up_d AFTER DELETE ON lines REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION sum_up();
CREATE FUNCTION bounded() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.qty > 100 THEN RAISE check_violation USING MESSAGE = 'too many'; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER bounded AFTER INSERT OR UPDATE ON lines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bounded();
INSERT INTO lines SELECT n, 1, 1, 't' FROM generate_series(1, 4) n;
