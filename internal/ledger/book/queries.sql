The statements of the ledger. @organization is the tenant.

-- name: lock_head
-- Whoever appends holds the head to the commit.
SELECT h.organization_id, h.seq, h.hash, h.at FROM ledger_head h WHERE h.organization_id = @organization FOR UPDATE;

-- name: begin_head
-- Of a ledger that has no entry yet. The row never commits as it is here.
INSERT INTO ledger_head (organization_id, seq, hash, at) VALUES (@organization, 0, @hash, @at) ON CONFLICT DO NOTHING;

-- name: on_record
-- What people and the program put on record before there was a ledger, in the
-- order in which it happened. What is recorded at @before has an entry of its own.
-- A justification that another one replaced was not withdrawn.
SELECT r.at, r.turn, r.about, r.kind, r.actor, r.class, r.payload
FROM (
  SELECT b.at, 1 AS turn, b.identity_id AS about, 'baseline.attested' AS kind, b.actor, 0 AS class, jsonb_build_object('note', coalesce(b.note, '')) AS payload
  FROM scope_baseline b
  WHERE b.organization_id = @organization AND b.basis = 'attested' AND b.at < @before
  UNION ALL
  SELECT j.from_at, 2, j.path_id, 'justification.recorded', j.actor, coalesce(p.class, 0),
         jsonb_build_object('text', j.justification, 'actions', j.actions, 'replaces',
           EXISTS (SELECT FROM privilege_justification f WHERE f.organization_id = @organization AND f.path_id = j.path_id AND f.to_at = j.from_at))
  FROM privilege_justification j
  LEFT JOIN authority_path p ON p.organization_id = @organization AND p.id = j.path_id
  WHERE j.organization_id = @organization AND j.from_at < @before
  UNION ALL
  SELECT j.to_at, 3, j.path_id, 'justification.withdrawn', j.withdrawn_by, coalesce(p.class, 0), '{}'
  FROM privilege_justification j
  LEFT JOIN authority_path p ON p.organization_id = @organization AND p.id = j.path_id
  WHERE j.organization_id = @organization AND j.to_at < @before
    AND NOT EXISTS (SELECT FROM privilege_justification n WHERE n.organization_id = @organization AND n.path_id = j.path_id AND n.from_at = j.to_at)
  UNION ALL
  SELECT s.at, 4, @nil, 'posture.snapshotted',
         coalesce((SELECT y.actor FROM sync y WHERE y.organization_id = @organization AND y.id = s.sync_id),
                  (SELECT v.actor FROM evaluation v WHERE v.organization_id = @organization AND v.at = s.at)),
         0, to_jsonb(s) - 'organization_id' - 'at'
  FROM posture_snapshot s
  WHERE s.organization_id = @organization AND s.at < @before
) r
WHERE (r.at, r.turn, r.about) > (@at, @turn, @about)
ORDER BY r.at, r.turn, r.about
LIMIT @rows;

-- name: leaves
-- The hashes of the entries behind @from, to @to.
SELECT e.hash FROM ledger_entry e WHERE e.organization_id = @organization AND e.seq > @from AND e.seq <= @to ORDER BY e.seq;

-- name: tiles
SELECT t.root FROM ledger_tile t WHERE t.organization_id = @organization AND t.index >= @from AND t.index < @to ORDER BY t.index;

-- name: append
-- Entries, the tiles that they fill, and the head.
WITH entries AS (
  INSERT INTO ledger_entry (organization_id, recorded_at, seq, previous_hash, hash, body, kind, class, actor, at, subject_id, type, ordinal, batch_id)
  SELECT @organization, @recorded_at, n.*
  FROM unnest(@seqs::bigint[], @previous::bytea[], @hashes::bytea[], @bodies::bytea[], @kinds::text[], @classes::integer[], @actors::text[],
    @ats::timestamptz[], @subjects::uuid[], @types::smallint[], @ordinals::integer[], @batches::uuid[]) AS n
), tiles AS (
  INSERT INTO ledger_tile (organization_id, index, root)
  SELECT @organization, n.index, n.root FROM unnest(@tiles::bigint[], @roots::bytea[]) AS n(index, root)
)
UPDATE ledger_head SET seq = @seq, hash = @hash, at = @at WHERE organization_id = @organization;

-- name: head
SELECT h.seq, h.hash, h.at FROM ledger_head h WHERE h.organization_id = @organization;

-- name: entries_page
SELECT e.seq, e.hash, e.body FROM ledger_entry e
WHERE e.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_entries
SELECT count(*) FROM ledger_entry e WHERE e.organization_id = @organization /* where */;

-- name: entries_by_seqs
SELECT e.seq, e.hash, e.body FROM /* at */ ledger_entry e WHERE e.organization_id = @organization AND e.seq = ANY (@seqs) ORDER BY e.seq;

-- name: entries_from
-- The ledger as it is handed out.
SELECT e.seq, e.previous_hash, e.hash, e.body FROM ledger_entry e
WHERE e.organization_id = @organization AND e.seq > @seq
ORDER BY e.seq
LIMIT @rows;

-- name: checkpoints_page
SELECT k.size, k.root, k.note, k.signer, k.recorded_at FROM ledger_checkpoint k
WHERE k.organization_id = @organization /* where */
/* order */
LIMIT @limit;

-- name: count_checkpoints
SELECT count(*) FROM ledger_checkpoint k WHERE k.organization_id = @organization;

-- name: last_checkpoint
SELECT k.size, k.root, k.note, k.signer, k.recorded_at FROM ledger_checkpoint k
WHERE k.organization_id = @organization
ORDER BY k.size DESC
LIMIT 1;

-- name: add_checkpoint
-- Another replica may have signed the same.
INSERT INTO ledger_checkpoint (organization_id, size, root, note, signer, recorded_at)
VALUES (@organization, @size, @root, @note, @signer, @recorded_at)
ON CONFLICT DO NOTHING;

-- name: organization
SELECT o.id, o.slug, o.name, o.created_at FROM organization o WHERE o.id = @organization;

-- name: plan_by_key
-- What is verified is read along its keys; without statistics the planner would
-- sort the rest of a table for each page.
SELECT set_config(name, value, true)
FROM (VALUES ('plan_cache_mode', 'force_custom_plan'), ('enable_sort', 'off'), ('enable_bitmapscan', 'off')) AS s(name, value);

-- name: verified_entries
SELECT e.seq, e.previous_hash, e.hash, e.body, e.kind, e.class, e.actor, e.at, e.recorded_at, e.subject_id, e.type, e.ordinal, e.batch_id
FROM ledger_entry e
WHERE e.organization_id = @organization AND e.seq > @seq
ORDER BY e.seq
LIMIT @rows;

-- name: tiles_from
SELECT t.index, t.root FROM ledger_tile t
WHERE t.organization_id = @organization AND t.index > @index
ORDER BY t.index
LIMIT @rows;

-- name: checkpoints_from
SELECT k.size, k.root, k.note, k.signer, k.recorded_at FROM ledger_checkpoint k
WHERE k.organization_id = @organization AND k.size > @size
ORDER BY k.size
LIMIT @rows;

-- name: decisions
-- What the ledger says of exposures.
SELECT e.seq, e.body FROM ledger_entry e
WHERE e.organization_id = @organization AND e.seq > @seq AND e.type IS NOT NULL
ORDER BY e.seq
LIMIT @rows;

-- name: decided_exposures
-- Exposures of which somebody decided something, by what they say or by what the
-- ledger says of the path and type: later intervals may have taken it over.
SELECT x.path_id, x.type, x.ordinal, x.disposition, x.decided_seq, x.to_at, x.resolution_reason,
       coalesce((SELECT v.evidence_digest FROM exposure_version v
                 WHERE v.organization_id = @organization AND v.path_id = x.path_id AND v.type = x.type AND v.ordinal = x.ordinal AND v.version = 1),
                x.evidence_digest) AS first_digest,
       (SELECT coalesce((SELECT v.evidence_digest FROM exposure_version v -- when it was marked, or taken over
                         WHERE v.organization_id = @organization AND v.path_id = f.path_id AND v.type = f.type AND v.ordinal = f.ordinal AND v.decided_seq = f.decided_seq
                         ORDER BY v.version LIMIT 1), f.evidence_digest)
        FROM exposure f
        WHERE f.organization_id = @organization AND f.path_id = x.path_id AND f.type = x.type AND f.ordinal = x.ordinal - 1) AS former_digest
FROM exposure x
WHERE x.organization_id = @organization AND (x.path_id, x.type, x.ordinal) > (@path_id, @type, @ordinal)
  AND (x.disposition <> 1 OR x.decided_seq IS NOT NULL OR x.resolution_reason = 'manual'
       OR EXISTS (SELECT FROM ledger_entry e WHERE e.organization_id = @organization AND e.subject_id = x.path_id AND e.type = x.type))
ORDER BY x.path_id, x.type, x.ordinal
LIMIT @rows;

-- name: decided_versions
-- Former versions of the same.
SELECT v.path_id, v.type, v.ordinal, v.version, v.disposition, v.decided_seq
FROM exposure_version v
WHERE v.organization_id = @organization AND (v.path_id, v.type, v.ordinal, v.version) > (@path_id, @type, @ordinal, @version)
  AND (v.disposition <> 1 OR v.decided_seq IS NOT NULL
       OR EXISTS (SELECT FROM ledger_entry e WHERE e.organization_id = @organization AND e.subject_id = v.path_id AND e.type = v.type))
ORDER BY v.path_id, v.type, v.ordinal, v.version
LIMIT @rows;

-- name: baselines
SELECT b.identity_id, b.at, b.actor, b.note FROM scope_baseline b
WHERE b.organization_id = @organization AND b.basis = 'attested' AND (b.identity_id, b.at) > (@identity_id, @at)
ORDER BY b.identity_id, b.at
LIMIT @rows;

-- name: justifications
SELECT j.path_id, j.from_at, j.to_at, j.actor, j.justification, j.actions, j.withdrawn_by FROM privilege_justification j
WHERE j.organization_id = @organization AND (j.path_id, j.from_at) > (@path_id, @from_at)
ORDER BY j.path_id, j.from_at
LIMIT @rows;

-- name: snapshots
SELECT s.at, to_jsonb(s) - 'organization_id' - 'at' AS payload FROM posture_snapshot s
WHERE s.organization_id = @organization AND s.at > @at
ORDER BY s.at
LIMIT @rows;

-- name: signing_keys
SELECT k.id, k.subject, k.public_key, k.from_at, k.to_at, k.added_by, k.ended_by FROM signing_key k
WHERE k.organization_id = @organization AND k.id > @id
ORDER BY k.id
LIMIT @rows;
