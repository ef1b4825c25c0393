/*
By hand: INHERITS, so that the parent shows rows whose key its own index does not cover
entities:
  city:
    table: cities
    id: {type: int}
    fields: {name: {type: string, max: 40}}
start:
  - {fields: {}, says: inherit}
*/
CREATE TABLE cities (id int PRIMARY KEY, name text);
CREATE TABLE capitals (state text) INHERITS (cities);
INSERT INTO cities VALUES (1, 'one');
INSERT INTO capitals VALUES (1, 'the same id', 'x'), (2, 'two', 'y');
