/*
Django and Laravel: a join table with a key of both columns, WITHOUT ROWID, and triggers that count
entities:
  tagging:
    table: post_tags
    id: {columns: [post_id, tag]}
    fields:
      post_id: {type: int}
      tag: {type: text}
      weight: {type: int}
values: {weight: [1, -9]}
increment: [weight]
put:
  "1~go": {weight: 5}
  "7~a=2Fb": {weight: 1}
  "7~": {}
delete: ["2~sql"]
other: {note: "'{n}'"}
check:
  - SELECT count(*) = 2 FROM counted WHERE tag IN ('a/b', '')
*/
CREATE TABLE counted (tag TEXT);
CREATE TABLE post_tags (tag TEXT NOT NULL, post_id INTEGER NOT NULL, weight INTEGER DEFAULT 0, note TEXT, PRIMARY KEY (post_id, tag)) WITHOUT ROWID;
CREATE TRIGGER count_tag AFTER INSERT ON post_tags BEGIN INSERT INTO counted VALUES (NEW.tag); END;
INSERT INTO post_tags (post_id, tag, weight) VALUES (1, 'go', 1), (1, 'Go', 1), (2, 'sql', 2), (3, 'go ', 3);
DELETE FROM counted;
