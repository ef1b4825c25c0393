/*
By hand: an identity that is always generated, beside a natural key that the entity takes
entities:
  country:
    table: countries
    id: {type: string, max: 10, column: code}
    fields:
      name: {type: string, max: 60, required: true}
      people: {type: int, min: 0, default: 0}
values: {name: ["Österreich", "Côte d'Ivoire"]}
increment: [people]
put:
  DE: {name: Deutschland, people: 83}
  FR: {name: France}
delete: [XX]
start:
  - {set: {id: {type: int, column: id}}, says: takes no}
other: {rank: "{n}"}
check:
  - SELECT count(*) = 1 FROM countries WHERE code = 'FR' AND id > 3
*/
CREATE TABLE countries (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(10) NOT NULL CONSTRAINT countries_code UNIQUE, name varchar(60) NOT NULL, people bigint NOT NULL DEFAULT 0, rank int);
INSERT INTO countries (code, name) VALUES ('AT', 'Austria'), ('DE', 'Germany'), ('XX', 'none');
