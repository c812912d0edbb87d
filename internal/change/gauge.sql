What is asked of all organizations at once: of each only whether there is something
to count.

-- name: published
-- Over all organizations: the heads belong to none.
SELECT coalesce(sum(h.seq), 0)::bigint FROM change_head h;

-- name: pending_feeds
SELECT pending_feeds();

-- name: gapped_feeds
-- Nobody has ever had a gap where the table has no page: that is asked of all at once.
SELECT o.id FROM organization o WHERE pg_relation_size('change_gap') > 0 ORDER BY o.id;
