/*
Hibernate and Prisma: a join table whose key is its two references, both entities themselves, which cascade
entities:
  membership:
    table: memberships
    id: {columns: [team_id, user_id]}
    fields:
      team_id: {type: uuid, references: team}
      user_id: {type: int, references: person}
      role: {type: string, max: 10, default: member}
  team:
    table: teams
    id: {type: uuid}
    fields: {name: {type: text}}
  person:
    table: people
    id: {type: int}
    fields: {name: {type: text}}
values:
  role: [admin, member, null]
put:
  "00000000-0000-0000-0000-000000000001~2": {role: x}
  "00000000-0000-0000-0000-000000000003~3": {}
delete: ["00000000-0000-0000-0000-000000000002~2"]
refused:
  - {op: put, id: "00000000-0000-0000-0000-000000000003~77", fields: {}, says: refused-foreign-key}
  - {op: put, id: "00000000-0000-0000-0000-000000000077~1", fields: {}, says: refused-foreign-key}
  - {op: patch, id: "00000000-0000-0000-0000-000000000001~1", fields: {role: much too long}, says: role}
other: {invited: "timestamptz '2026-01-01' + interval '1 minute' * {n}"}
*/
CREATE TABLE teams (id uuid PRIMARY KEY, name text);
CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE memberships (user_id int NOT NULL REFERENCES people ON DELETE CASCADE, team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE, role varchar(10) DEFAULT 'member', invited timestamptz, PRIMARY KEY (user_id, team_id));
INSERT INTO teams SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 't' || n FROM generate_series(1, 3) n;
INSERT INTO people SELECT n, 'p' || n FROM generate_series(1, 3) n;
INSERT INTO memberships (user_id, team_id) SELECT u, ('00000000-0000-0000-0000-00000000000' || t)::uuid FROM generate_series(1, 2) u, generate_series(1, 2) t;
