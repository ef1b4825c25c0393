/*
Laravel: `bigint unsigned auto_increment`, `timestamp` with null, soft deletes, an enum, JSON as longtext with a check, case-folding unique slug
entities:
  order:
    table: orders
    id: {type: int}
    fields:
      slug: {type: string, max: 191, required: true, unique: true}
      status: {type: string, max: 20}
      total: {type: decimal, precision: 10, scale: 2, min: 0}
      items_count: {type: int, min: 0, max: 4294967295}
      meta: {type: json}
values:
  status: [paid, open]
  total: ["12.30", "0.00", "99999999.99"]
put:
  "2": {slug: order-b, status: open, total: "1.00", items_count: 1}
  "500": {slug: made, status: open, total: "5.00", items_count: 0}
increment: [items_count]
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {status: nonsense}, says: refused}
  - {op: patch, id: "5", fields: {slug: ORDER-A}, says: refused-unique}
  - {op: patch, id: "6", fields: {items_count: 4294967296}, says: items_count}
start:
  - {fields: {total: {type: decimal, precision: 12, scale: 4}}, says: which would change values of order.total}
other:
  notified: "{n} % 128"
  meta: 'concat(''{"n": '', {n}, ''}'')'
insert: "INSERT INTO orders (slug, status, total, created_at) VALUES ('other-{n}', 'open', {n}.5, now())"
check:
  - SELECT count(*) >= {n} FROM orders WHERE slug LIKE 'other-%'
*/
CREATE TABLE `orders` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  `slug` varchar(191) NOT NULL,
  `status` enum('open','paid','void') NOT NULL DEFAULT 'open',
  `total` decimal(10,2) unsigned NOT NULL,
  `items_count` int unsigned NOT NULL DEFAULT 0,
  `meta` json DEFAULT NULL,
  `notified` tinyint NOT NULL DEFAULT 0,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  UNIQUE KEY `orders_slug_unique` (`slug`)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
INSERT INTO orders (slug, status, total, meta, created_at, deleted_at) VALUES
  ('order-a', 'open', 10.50, '{"b":  1}', '2026-01-01 10:00:00', NULL),
  ('order-b', 'paid', 0, NULL, NULL, NULL),
  ('order-c', 'void', 3.10, '[]', '2026-01-01 10:00:00', '2026-02-01 10:00:00'),
  ('order-d', 'open', 3.10, '"x"', '2026-01-01 10:00:00', NULL),
  ('order-e', 'open', 3.10, '"x"', '2026-01-01 10:00:00', NULL),
  ('order-f', 'open', 3.10, '"x"', '2026-01-01 10:00:00', NULL);
