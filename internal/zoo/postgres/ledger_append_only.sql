/*
By hand: rows that may be added and never changed, a trigger that raises an error of its own, a balance that may not fall below zero
entities:
  entry:
    table: ledger
    id: {type: uuid}
    fields:
      account: {type: int, required: true}
      amount: {type: int, required: true}
put:
  aaaaaaaa-0000-4000-8000-00000000000a: {account: 1, amount: 50}
refused:
  - {op: patch, id: aaaaaaaa-0000-4000-8000-000000000001, fields: {amount: 5}, says: refused}
  - {op: delete, id: aaaaaaaa-0000-4000-8000-000000000002, says: refused}
  - {op: put, id: aaaaaaaa-0000-4000-8000-00000000000b, fields: {account: 2, amount: -500}, says: refused}
check:
  - SELECT balance = 150 FROM balances WHERE account = 1
  - SELECT balance = 7 FROM balances WHERE account = 2
*/
CREATE TABLE balances (account int PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
CREATE TABLE ledger (id uuid PRIMARY KEY, account int NOT NULL, amount bigint NOT NULL);
CREATE FUNCTION book() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN RAISE EXCEPTION 'the ledger is append only'; END IF;
  UPDATE balances SET balance = balance + NEW.amount WHERE account = NEW.account;
  IF NOT FOUND THEN INSERT INTO balances VALUES (NEW.account, NEW.amount); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER book BEFORE INSERT OR UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION book();
INSERT INTO ledger VALUES ('aaaaaaaa-0000-4000-8000-000000000001', 1, 100), ('aaaaaaaa-0000-4000-8000-000000000002', 2, 7);
