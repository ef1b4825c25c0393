/*
By hand: triggers that keep a second table for search and the time of the last change
entities:
  mail:
    table: mails
    id: {type: int}
    fields:
      subject: {type: string}
      read: {type: int, default: 0}
values: {subject: ["hello world", null]}
increment: [read]
put: {"2": {subject: two}, "30": {subject: thirty}}
delete: ["3"]
moved: [changed]
other: {folder: "'f{n}'"}
check:
  - SELECT count(*) = 0 FROM mails m WHERE NOT EXISTS (SELECT 1 FROM mail_search s WHERE s.id = m.id AND s.subject IS m.subject)
  - SELECT count(*) = (SELECT count(*) FROM mails) FROM mail_search
*/
CREATE TABLE mails (id INTEGER PRIMARY KEY, subject TEXT, read INTEGER DEFAULT 0, folder TEXT, changed TEXT);
CREATE TABLE mail_search (id INTEGER PRIMARY KEY, subject TEXT);
CREATE TRIGGER mails_ai AFTER INSERT ON mails BEGIN INSERT INTO mail_search VALUES (new.id, new.subject); UPDATE mails SET changed = datetime('now') WHERE id = new.id; END;
CREATE TRIGGER mails_au AFTER UPDATE OF subject ON mails BEGIN UPDATE mail_search SET subject = new.subject WHERE id = new.id; UPDATE mails SET changed = datetime('now') WHERE id = new.id; END;
CREATE TRIGGER mails_ad AFTER DELETE ON mails BEGIN DELETE FROM mail_search WHERE id = old.id; END;
INSERT INTO mails (id, subject) VALUES (1, 'one'), (2, 'x'), (3, 'x');
