/*
Prisma: quoted names in camel case, cuid ids as text, a native enum, `TIMESTAMP(3)`, `updatedAt` without a default
entities:
  user:
    table: User
    id: {type: string, max: 30}
    fields:
      email: {type: string, max: 200, required: true, unique: true}
      role: {type: string, max: 10, default: USER}
      balance: {type: decimal, precision: 38, scale: 10, default: "0"}
      created_at: {type: time, column: createdAt, from: database, required: true}
      updated_at: {type: time, column: updatedAt, from: database, required: true}
      login_count: {type: int, column: loginCount, default: 0}
values:
  role: [ADMIN, USER]
  balance: ["0.0000000001", "1234567890123456789012345678.0123456789"]
  updated_at: ["2026-01-31T12:34:56.789012Z", "2026-01-31T12:34:56.7Z"]
increment: [login_count]
put:
  ck2: {email: two@x, role: USER, created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00.0005Z", login_count: 2}
  ck new: {email: new@x, created_at: "2026-01-01T00:00:00Z", updated_at: "2026-01-01T00:00:00Z"}
delete: [ck3]
refused:
  - {op: patch, id: ck4, fields: {role: ROOT}, says: refused}
  - {op: patch, id: ck5, fields: {email: one@x}, says: refused-unique}
start:
  - {fields: {updated_at: {type: time, column: updatedAt}}, says: rounds to 3 digits of a second}
other: {'"lastIp"': "'1.2.3.{n}'"}
insert: "INSERT INTO \"User\" (id, email, \"updatedAt\") VALUES ('other{n}', 'o{n}@y', now())"
*/
CREATE TYPE "Role" AS ENUM ('USER', 'ADMIN');
CREATE TABLE "User" (
  "id" TEXT NOT NULL, "email" TEXT NOT NULL, "role" "Role" NOT NULL DEFAULT 'USER', "balance" DECIMAL(65,30) NOT NULL DEFAULT 0, "lastIp" TEXT,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updatedAt" TIMESTAMP(3) NOT NULL, "loginCount" INTEGER NOT NULL DEFAULT 0,
  CONSTRAINT "User_pkey" PRIMARY KEY ("id")
);
CREATE UNIQUE INDEX "User_email_key" ON "User"("email");
INSERT INTO "User" (id, email, "updatedAt", balance) VALUES ('ck1', 'one@x', '2026-01-31 10:00:00.123', 0.5), ('ck2', 'two@x', now(), 0), ('ck3', 'three@x', now(), 0), ('ck4', 'four@x', now(), 0), ('ck5', 'five@x', now(), 1);
