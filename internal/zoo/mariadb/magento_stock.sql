/*
Magento: `smallint unsigned`, `decimal(20,6)`, a composite unique key, a comment on everything
entities:
  stock:
    table: stock_item
    id: {type: int, column: item_id}
    unique: [[product, website]]
    fields:
      product: {type: int, column: product_id, required: true, min: 0}
      website: {type: int, column: website_id, required: true, min: 0, max: 65535}
      qty: {type: decimal, precision: 20, scale: 6}
      backorders: {type: int, default: 0, min: 0, max: 65535}
values:
  qty: ["0.000001", "-5.500000", "12345678901234.123456"]
increment: [backorders]
put:
  "2": {product: 2, website: 1, qty: "1.000000", backorders: 1}
  "90": {product: 9, website: 9}
delete: ["3"]
refused:
  - {op: patch, id: "4", fields: {product: 1}, says: refused-unique}
  - {op: patch, id: "5", fields: {website: 65536}, says: website}
other: {low_stock_date: "timestamp '2026-01-01 00:00:00' + interval {n} second"}
*/
CREATE TABLE stock_item (
  item_id int unsigned NOT NULL AUTO_INCREMENT COMMENT 'Item ID', product_id int unsigned NOT NULL DEFAULT 0 COMMENT 'Product', website_id smallint unsigned NOT NULL DEFAULT 0,
  qty decimal(20,6) DEFAULT NULL, backorders smallint unsigned NOT NULL DEFAULT 0, low_stock_date timestamp NULL DEFAULT NULL,
  PRIMARY KEY (item_id), UNIQUE KEY STOCK_PRODUCT_WEBSITE (product_id, website_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb3 COMMENT='Stock';
INSERT INTO stock_item (product_id, website_id, qty) VALUES (1, 1, 5), (2, 1, 0), (3, 1, NULL), (4, 1, 1), (5, 1, 1);
