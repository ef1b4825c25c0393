/*
WordPress: zero dates as defaults, `bigint(20) unsigned`, longtext, no foreign keys, a case-folding collation everywhere
entities:
  post:
    table: wp_posts
    id: {type: int, column: ID}
    fields:
      title: {type: text, column: post_title, max: 65535, required: true}
      status: {type: string, column: post_status, max: 20, required: true, default: publish}
      name: {type: string, column: post_name, max: 200, required: true, default: ""}
      comments: {type: int, column: comment_count, default: 0}
      date: {type: time, column: post_date, from: database}
values:
  title: ["Ünï 𝄞 title", " x "]
  status: [draft, publish]
  name: ["some-{id}", ""]
increment: [comments]
put:
  "2": {title: two, status: draft, name: two, comments: 1, date: "2026-01-31T10:00:00Z"}
  "77": {title: made, date: "2026-01-01T00:00:00Z"}
delete: ["3"]
foreign: {"4": post_date}
other: {ping_status: "'p{n}'"}
insert: "INSERT INTO wp_posts (post_title, post_date) VALUES ('o{n}', '2026-01-01 10:00:00')"
start:
  - {fields: {date: {type: time, column: post_date}}, says: wp_posts.post_date}
*/
SET sql_mode = 'ANSI_QUOTES';
CREATE TABLE `wp_posts` (
  `ID` bigint(20) unsigned NOT NULL AUTO_INCREMENT, `post_date` datetime NOT NULL DEFAULT '0000-00-00 00:00:00', `post_title` text NOT NULL,
  `post_status` varchar(20) NOT NULL DEFAULT 'publish', `ping_status` varchar(20) NOT NULL DEFAULT 'open', `post_name` varchar(200) NOT NULL DEFAULT '',
  `comment_count` bigint(20) NOT NULL DEFAULT 0, PRIMARY KEY (`ID`), KEY `post_name` (`post_name`(191)), KEY `type_status_date` (`post_status`,`post_date`,`ID`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
INSERT INTO wp_posts (post_date, post_title, comment_count) VALUES ('2026-01-31 10:00:00', 'Hello world!', 1), ('2026-01-31 10:00:00', 'x', 0), ('2026-01-31 10:00:00', 'y', 0), (DEFAULT, 'zero', 0);
