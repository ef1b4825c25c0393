/*
By hand: partitions by day, the key's first column a date, with rows that arrive late in a default partition
entities:
  visit:
    table: visits
    id: {columns: [day, page]}
    fields:
      day: {type: string, max: 10}
      page: {type: text}
      hits: {type: int, default: 0}
increment: [hits]
put:
  "2026-01-31~=2F": {hits: 5}
  "2026-03-01~new": {hits: 1}
delete: ["2026-01-30~=2F"]
refused:
  - {op: put, id: "2026-1-31~a", fields: {hits: 1}, says: it takes days}
  - {op: put, id: "2026-02-30~a", fields: {hits: 1}, says: it takes days}
start:
  - {fields: {day: {type: time}}, says: "give the field day `type: string`"}
other: {bot: "{n}"}
check:
  - SELECT count(*) = 1 FROM visits_31 WHERE page = '/' AND hits = 5
  - SELECT count(*) = 1 FROM visits_rest WHERE page = 'new'
*/
CREATE TABLE visits (page text NOT NULL, day date NOT NULL, hits bigint NOT NULL DEFAULT 0, bot int, PRIMARY KEY (day, page)) PARTITION BY LIST (day);
CREATE TABLE visits_31 PARTITION OF visits FOR VALUES IN ('2026-01-31');
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
INSERT INTO visits (page, day, hits) SELECT p, d, 1 FROM unnest('{2026-01-30,2026-01-31}'::date[]) d, unnest('{/,a}'::text[]) p;
