/*
EF Core on SQLite: GUIDs as text in capitals, DateTime with seven digits of a second, decimals as text, names in Pascal case
entities:
  blog:
    table: Blogs
    id: {type: string, max: 36, column: Id}
    fields:
      url: {type: string, column: Url, required: true, unique: true}
      rating: {type: int, column: Rating, default: 0}
      price: {type: decimal, precision: 18, scale: 2, column: Price}
      at: {type: time, column: CreatedAt}
values:
  url: ["http://{id}/"]
  price: ["1.10", null]
increment: [rating]
put: {"0D8E3F6B-0000-4000-8000-0000000000FF": {url: made, price: "5.00"}}
refused:
  - {op: patch, id: 0D8E3F6B-0000-4000-8000-000000000003, fields: {url: kept}, says: refused-unique}
kept: [0D8E3F6B-0000-4000-8000-000000000004]
other: {Owner: "'o{n}'"}
*/
CREATE TABLE "Blogs" ("Id" TEXT NOT NULL CONSTRAINT "PK_Blogs" PRIMARY KEY, "Url" TEXT NOT NULL, "Rating" INTEGER NOT NULL DEFAULT 0, "Price" TEXT NULL, "CreatedAt" TEXT NULL, "Owner" TEXT);
CREATE UNIQUE INDEX "IX_Blogs_Url" ON "Blogs" ("Url");
INSERT INTO Blogs (Id, Url, Price, CreatedAt) VALUES
  ('0D8E3F6B-0000-4000-8000-000000000001', 'one', '1.5', '2026-01-31 10:00:00.123456'), ('0D8E3F6B-0000-4000-8000-000000000002', 'two', '2', '2026-01-31 10:00:00.1234567'),
  ('0D8E3F6B-0000-4000-8000-000000000003', 'three', NULL, NULL), ('0D8E3F6B-0000-4000-8000-000000000004', 'kept', NULL, NULL);
