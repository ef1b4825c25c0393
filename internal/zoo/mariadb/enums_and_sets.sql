/*
By hand: enum, set, year, `bigint unsigned` beyond 64 bits of a sign, zerofill, latin1
entities:
  film:
    table: films
    id: {type: int}
    fields:
      rating: {type: string, max: 5}
      specials: {type: text}
      year: {type: int, column: release_year, min: 1901, max: 2155}
      plays: {type: int}
      title: {type: string, max: 50, required: true}
values:
  rating: [PG, G, null]
  year: [1999, null]
  plays: [5, null]
  title: ["Café", "x"]
put: {"2": {rating: G, year: 2000, plays: 1, title: two}, "30": {title: made}}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {title: "日本"}, says: refused}
  - {op: patch, id: "5", fields: {rating: XXX}, says: refused}
  - {op: patch, id: "6", fields: {plays: -1}, says: refused}
foreign: {"7": plays}
other: {code: "{n}"}
*/
CREATE TABLE films (id int PRIMARY KEY, title varchar(50) NOT NULL, rating enum('G','PG') DEFAULT NULL, specials set('Trailers','Scenes') DEFAULT NULL, release_year year DEFAULT NULL, plays bigint unsigned, code int(6) zerofill) DEFAULT CHARSET=latin1;
INSERT INTO films (id, title, rating, specials, release_year, plays) VALUES (1, 'one', 'G', 'Scenes,Trailers', 2026, 1), (2, 'x', NULL, '', NULL, NULL), (3, 'x', NULL, NULL, NULL, NULL), (4, 'x', NULL, NULL, NULL, NULL), (5, 'x', NULL, NULL, NULL, NULL), (6, 'x', NULL, NULL, NULL, 0), (7, 'x', NULL, NULL, NULL, 18446744073709551615);
