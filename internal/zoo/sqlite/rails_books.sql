/*
Rails on SQLite: `varchar`, booleans as 1 and 0, `datetime(6)` as text, a partial unique index
entities:
  book:
    table: books
    id: {type: int}
    fields:
      isbn: {type: string, max: 20, unique: {where: "withdrawn = 0"}}
      title: {type: string, required: true}
      withdrawn: {type: bool, default: false}
      loans: {type: int, default: 0}
      price: {type: decimal, precision: 10, scale: 2, from: database}
values:
  isbn: ["i{id}"]
  title: ["x", "Ünï"]
increment: [loans]
put: {"2": {isbn: two, title: two, withdrawn: false, loans: 1}, "40": {title: made}}
delete: ["3"]
kept: ["5"]
refused:
  - {op: patch, id: "4", fields: {isbn: five}, says: refused-unique}
other: {updated_at: "'2026-01-01 10:00:{n}'"}
insert: "INSERT INTO books (title, created_at, updated_at) VALUES ('o{n}', '2026', '2026')"
*/
CREATE TABLE "books" ("id" integer PRIMARY KEY AUTOINCREMENT NOT NULL, "isbn" varchar, "title" varchar NOT NULL, "withdrawn" boolean DEFAULT 0 NOT NULL, "loans" integer DEFAULT 0, "price" decimal(10,2), "created_at" datetime(6) NOT NULL DEFAULT '2026', "updated_at" datetime(6) NOT NULL DEFAULT '2026');
CREATE UNIQUE INDEX "index_books_on_isbn" ON "books" ("isbn") WHERE withdrawn = 0;
INSERT INTO books (isbn, title, withdrawn) VALUES ('one', 'One', 0), ('one', 'Old', 1), ('three', 'x', 0), ('four', 'x', 0), ('five', 'x', 0);
