/*
By hand: a BEFORE trigger that trims, an AFTER trigger that audits, SIGNAL on what it does not like
entities:
  member:
    table: members
    id: {type: int}
    fields:
      name: {type: string, max: 50}
      fee: {type: decimal, precision: 8, scale: 2, default: "0"}
values:
  name: ["  trimmed  ", "plain"]
  fee: ["10.00", "0.50"]
put:
  "2": {name: " two", fee: "1.00"}
  "40": {name: made}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {fee: "-1.00"}, says: refused}
other: {card: "'c{n}'"}
check:
  - SELECT count(*) = 0 FROM members WHERE name <> trim(name)
  - SELECT count(*) = 1 FROM member_log WHERE op = 'I' AND id = 40
  - SELECT count(*) = 0 FROM member_log WHERE op = 'I' AND id < 40
*/
CREATE TABLE members (id int PRIMARY KEY, name varchar(50), fee decimal(8,2) DEFAULT 0, card varchar(20)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE member_log (id int, op char(1));
INSERT INTO members (id, name) VALUES (1, 'one'), (2, 'x'), (3, 'y'), (4, 'z');
CREATE TRIGGER members_bi BEFORE INSERT ON members FOR EACH ROW SET NEW.name = trim(NEW.name);
CREATE TRIGGER members_bu BEFORE UPDATE ON members FOR EACH ROW BEGIN IF NEW.fee < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no negative fee'; END IF; SET NEW.name = trim(NEW.name); END;
CREATE TRIGGER members_ai AFTER INSERT ON members FOR EACH ROW INSERT INTO member_log VALUES (NEW.id, 'I');
CREATE TRIGGER members_au AFTER UPDATE ON members FOR EACH ROW INSERT INTO member_log VALUES (NEW.id, 'U');
