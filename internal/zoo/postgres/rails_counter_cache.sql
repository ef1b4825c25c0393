/*
Rails: a counter cache kept by triggers in another mapped table, a foreign key that restricts, an index on lower(title)
entities:
  post:
    table: posts
    id: {type: int}
    fields:
      topic: {type: int, column: topic_id, required: true, references: topic}
      title: {type: string, max: 200, required: true}
      score: {type: int, default: 0}
    rank: {by: score}
  topic:
    table: topics
    id: {type: int}
    fields: {name: {type: string, max: 50}}
values:
  title: ["A title {id}", "Ünïcödé {id}"]
  topic: [2, 1]
increment: [score]
put:
  "2": {topic: 1, title: put, score: 4}
  "7700": {topic: 2, title: made}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {topic: 99}, says: refused-foreign-key}
  - {op: patch, id: "5", fields: {title: FOURTH}, says: refused-unique}
other:
  flags: "{n}"
insert: "INSERT INTO posts (topic_id, title) VALUES (1, 'other {n}')"
check:
  - SELECT bool_and(posts_count = (SELECT count(*) FROM posts WHERE topic_id = topics.id)) FROM topics
*/
CREATE TABLE topics (id serial PRIMARY KEY, name varchar(50), posts_count int NOT NULL DEFAULT 0);
CREATE TABLE posts (id serial PRIMARY KEY, topic_id int NOT NULL REFERENCES topics, title varchar(200) NOT NULL, score int NOT NULL DEFAULT 0, flags int);
CREATE FUNCTION count_posts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP <> 'INSERT' THEN UPDATE topics SET posts_count = posts_count - 1 WHERE id = OLD.topic_id; END IF;
  IF TG_OP <> 'DELETE' THEN UPDATE topics SET posts_count = posts_count + 1 WHERE id = NEW.topic_id; END IF;
  RETURN NULL; END $$;
CREATE TRIGGER posts_counted AFTER INSERT OR DELETE OR UPDATE OF topic_id ON posts FOR EACH ROW EXECUTE FUNCTION count_posts();
INSERT INTO topics (name) VALUES ('one'), ('two');
INSERT INTO posts (topic_id, title, score) VALUES (1, 'first', 10), (1, 'second', -3), (2, 'third', 2000000000), (2, 'fourth', 5), (2, 'fifth', 5);
CREATE UNIQUE INDEX index_posts_on_lower_title ON posts (lower(title));
