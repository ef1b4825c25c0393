/*
EF Core: history rows by a trigger with both images, a version column that the trigger raises
entities:
  price:
    table: prices
    id: {type: string, max: 20}
    fields:
      amount: {type: decimal, precision: 12, scale: 4, required: true}
      currency: {type: string, max: 3, default: EUR}
      version: {type: int, from: database}
values:
  amount: ["1.2345", "0.0001"]
  currency: [USD, EUR]
put:
  b: {amount: "2.0000", currency: EUR, version: 1}
  new: {amount: "3.0000"}
delete: [c]
refused:
  - {op: patch, id: d, fields: {currency: us}, says: refused}
moved: [version, valid_from]
other: {remark: "'r{n}'"}
check:
  - SELECT count(*) = 1 FROM price_history WHERE id = 'c' AND op = 'DELETE'
  - SELECT count(*) = 0 FROM price_history WHERE id = 'd' AND remark IS NULL
  - SELECT bool_and(version > 1) FROM prices WHERE id IN ('a', 'b')
*/
CREATE TABLE prices (id varchar(20) PRIMARY KEY, amount numeric(12,4) NOT NULL, currency char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'), version bigint NOT NULL DEFAULT 1, valid_from timestamptz NOT NULL DEFAULT now(), remark text);
CREATE TABLE price_history (op text, id varchar(20), amount numeric(12,4), version bigint, remark text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION keep_price() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'DELETE' THEN INSERT INTO price_history VALUES (TG_OP, OLD.id, OLD.amount, OLD.version, OLD.remark); RETURN OLD; END IF;
  IF TG_OP = 'UPDATE' THEN INSERT INTO price_history VALUES (TG_OP, OLD.id, OLD.amount, OLD.version, NEW.remark); NEW.version := OLD.version + 1; ELSE NEW.version := 1; END IF;
  NEW.valid_from := now(); RETURN NEW; END $$;
CREATE TRIGGER price_kept BEFORE INSERT OR UPDATE OR DELETE ON prices FOR EACH ROW EXECUTE FUNCTION keep_price();
INSERT INTO prices (id, amount, currency) VALUES ('a', 1, 'EUR'), ('b', 1.5, 'EUR'), ('c', 1, 'USD'), ('d', 1, 'USD');
