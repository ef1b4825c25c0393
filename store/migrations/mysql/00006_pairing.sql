-- Which Redis belongs to this database, and what Redis has lost.
--
-- afterwrite_pairings: one row for each name, which is the prefix of the keys in Redis.
--   deployment  random, the same in Redis
--   life        random, of the Redis that was seen last: an emptied, exchanged or older
--               one has another
-- afterwrite_losses: one row for each loss of accepted writes. Rows are only added and
-- acknowledged.
--   entity   whose state was lost
--   life     of the Redis that was seen after the loss
--   records  how many were lost, 0 where that is not known
--   acknowledged_at  when an operator acknowledged it; by whom, and why

-- +goose Up
CREATE TABLE IF NOT EXISTS afterwrite_pairings (
    name       varbinary(255) NOT NULL PRIMARY KEY,
    deployment varchar(255)   NOT NULL,
    life       varchar(255)   NOT NULL,
    paired_at  datetime(6)    NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE IF NOT EXISTS afterwrite_losses (
    number  bigint         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    at      datetime(6)    NOT NULL,
    entity  varbinary(255) NOT NULL,
    life    varchar(255)   NOT NULL,
    records bigint         NOT NULL,
    why     text           NOT NULL,
    acknowledged_at datetime(6),
    acknowledged_by text   NOT NULL,
    reason  text           NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
