/*
Prisma on SQLite: DATETIME as milliseconds, BOOLEAN, DECIMAL, JSONB as blob, a foreign key that cascades
entities:
  comment:
    table: Comment
    id: {type: string, max: 30}
    fields:
      text: {type: string, required: true}
      hidden: {type: bool, default: false}
      likes: {type: int, default: 0}
      created: {type: time, column: createdAt, from: database}
      post: {type: int, column: postId}
values: {text: ["x", "y"], hidden: [true, false], post: [1, null]}
increment: [likes]
put: {c2: {text: two, likes: 1, created: "2026-01-01T00:00:00Z"}, new: {text: made, created: "2026-01-01T00:00:00Z", post: 1}}
delete: [c3]
refused:
  - {op: patch, id: c4, fields: {post: 9}, says: refused-foreign-key}
other: {updatedAt: "{n}"}
*/
CREATE TABLE "Post" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "title" TEXT);
CREATE TABLE "Comment" ("id" TEXT NOT NULL PRIMARY KEY, "text" TEXT NOT NULL, "hidden" BOOLEAN NOT NULL DEFAULT false, "likes" INTEGER NOT NULL DEFAULT 0, "createdAt" DATETIME DEFAULT CURRENT_TIMESTAMP, "updatedAt" DATETIME, "postId" INTEGER,
  CONSTRAINT "Comment_postId_fkey" FOREIGN KEY ("postId") REFERENCES "Post" ("id") ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO Post (title) VALUES ('p');
INSERT INTO Comment (id, text, createdAt, postId) VALUES ('c1', 'one', 1769853600123, 1), ('c2', 'x', 1769853600123, NULL), ('c3', 'x', NULL, NULL), ('c4', 'x', NULL, NULL);
