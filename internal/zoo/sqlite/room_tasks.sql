/*
Room (Android): camel case, times as milliseconds, WITHOUT ROWID, a composite index
entities:
  task:
    table: Task
    id: {type: string, max: 36, column: taskId}
    fields:
      title: {type: string, column: title, required: true}
      done: {type: bool, column: isDone, required: true}
      due: {type: int, column: dueAt}
      n: {type: int, default: 0}
values:
  title: ["a", "b"]
  done: [true, false]
increment: [n]
put: {"t2": {title: two, done: true, n: 1, due: 1769853600000}, "T1": {title: capital, done: false}}
delete: [t3]
start:
  - {fields: {due: {type: time, column: dueAt}}, says: give the field the type int}
other: {syncedAt: "{n}"}
*/
CREATE TABLE `Task` (`taskId` TEXT NOT NULL, `title` TEXT NOT NULL, `isDone` INTEGER NOT NULL, `dueAt` INTEGER, `n` INTEGER NOT NULL DEFAULT 0, `syncedAt` INTEGER, PRIMARY KEY(`taskId`)) WITHOUT ROWID;
CREATE INDEX `index_Task_isDone_dueAt` ON `Task` (`isDone`, `dueAt`);
INSERT INTO Task VALUES ('t1', 'one', 0, 1769853600000, 1, NULL), ('t2', 'x', 0, NULL, 0, 5), ('t3', 'x', 1, NULL, 0, 5);
