The statements of a decision, within the turn that authority.Service.Decide takes.
@at is its instant on the organization clock.

-- columns: standing
SELECT x.path_id, x.type, x.ordinal, x.class, x.evidence_digest, x.disposition, x.version, x.to_at, x.resolution_reason,
       x.decided_seq, l.actor AS decided_by, l.at AS decided_at
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[]) AS k(path_id, type, ordinal)
JOIN exposure x ON x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal
LEFT JOIN ledger_entry l ON l.organization_id = @organization AND l.seq = x.decided_seq

-- name: answered
-- What a caller asked under this key before.
SELECT r.digest, r.first_seq, r.last_seq, r.batch_id, r.refused, r.recorded_at
FROM ledger_request r
WHERE r.organization_id = @organization AND r.actor = @actor AND r.key = @key;

-- name: entries
SELECT l.body
FROM ledger_entry l
WHERE l.organization_id = @organization AND l.seq BETWEEN @first::bigint AND @last::bigint
ORDER BY l.seq;

-- name: entries_of_batch
SELECT l.body
FROM ledger_entry l
WHERE l.organization_id = @organization AND l.batch_id = @batch
ORDER BY l.seq;

-- name: standing
-- The exposures as they stand, and who decided last.
/* columns: standing */;

-- name: lock_standing
-- The turn keeps everybody else away who writes exposures; the lock of the rows
-- says so to the database.
/* columns: standing */
FOR UPDATE OF x;

-- name: matching
-- No more than one above the bound: how many there are beyond is nobody's question.
SELECT x.path_id, x.type, x.ordinal
FROM exposure x
WHERE x.organization_id = @organization /* where */
LIMIT @limit;

-- name: marked_before
-- The entries by which exposures were false positives in a former version.
SELECT v.path_id, v.type, v.ordinal, l.body
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[], @versions::integer[]) AS k(path_id, type, ordinal, version)
JOIN exposure_version v ON v.organization_id = @organization AND v.path_id = k.path_id AND v.type = k.type AND v.ordinal = k.ordinal AND v.version = k.version
JOIN ledger_entry l ON l.organization_id = @organization AND l.seq = v.decided_seq;

-- name: dispose
-- Both halves see the exposures as they were.
WITH decided AS (
  SELECT k.* FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[], @dispositions::smallint[], @seqs::bigint[]) AS k(path_id, type, ordinal, disposition, seq)
), kept AS (
  INSERT INTO exposure_version (organization_id, path_id, type, ordinal, version, from_at, to_at, class, severity, factors, explanation, evidence_digest,
    disposition, indeterminate_since, decided_seq)
  SELECT @organization, x.path_id, x.type, x.ordinal, x.version, x.version_from, @at, x.class, x.severity, x.factors, x.explanation, x.evidence_digest,
    x.disposition, x.indeterminate_since, x.decided_seq
  FROM decided k
  JOIN exposure x ON x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal
)
UPDATE exposure x SET disposition = k.disposition, decided_seq = k.seq, version = x.version + 1, version_from = @at
FROM decided k
WHERE x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal;

-- name: resolve
-- What it was stays in the row: an interval that has ended keeps its last version.
UPDATE exposure x SET to_at = @at, resolution_reason = @reason, decided_seq = k.seq, decided_before = x.decided_seq
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[], @seqs::bigint[]) AS k(path_id, type, ordinal, seq)
WHERE x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal;

-- name: add_request
INSERT INTO ledger_request (organization_id, actor, key, digest, first_seq, last_seq, batch_id, refused, recorded_at)
VALUES (@organization, @actor, @key, @digest, @first, @last, @batch, @refused, @recorded_at);

-- name: batch_known
SELECT EXISTS (SELECT FROM ledger_request r WHERE r.organization_id = @organization AND r.batch_id = @batch);

-- name: key
SELECT k.id, k.subject, k.public_key, k.from_at, k.to_at, k.added_by, k.ended_by
FROM signing_key k
WHERE k.organization_id = @organization AND k.id = @id;

-- name: valid_keys
SELECT k.id, k.public_key
FROM signing_key k
WHERE k.organization_id = @organization AND k.subject = @subject AND k.from_at <= @at AND (k.to_at IS NULL OR k.to_at > @at)
ORDER BY k.id;

-- name: add_key
INSERT INTO signing_key (organization_id, id, subject, public_key, from_at, added_by)
VALUES (@organization, @id, @subject, @public_key, @at, @actor);

-- name: end_key
UPDATE signing_key k SET to_at = @at, ended_by = @actor
WHERE k.organization_id = @organization AND k.id = @id AND k.to_at IS NULL;

-- name: mend
-- What the ledger says, in the place of what the rows say. One that was resolved by
-- hand ends when the ledger says; one that says so without an entry has not ended.
UPDATE exposure x
SET disposition = k.disposition, decided_seq = k.seq,
    decided_before = CASE WHEN k.resolved IS NOT NULL THEN (
      SELECT max(l.seq) FROM ledger_entry l
      WHERE l.organization_id = @organization AND l.subject_id = k.path_id AND l.type = k.type AND l.ordinal = k.ordinal AND l.seq < k.seq) END,
    to_at = CASE WHEN k.resolved IS NOT NULL THEN k.resolved WHEN x.resolution_reason = 'manual' THEN NULL ELSE x.to_at END,
    resolution_reason = CASE WHEN k.resolved IS NOT NULL THEN 'manual' WHEN x.resolution_reason = 'manual' THEN NULL ELSE x.resolution_reason END
FROM unnest(@paths::uuid[], @types::smallint[], @ordinals::integer[], @dispositions::smallint[], @seqs::bigint[], @resolved::timestamptz[])
  AS k(path_id, type, ordinal, disposition, seq, resolved)
WHERE x.organization_id = @organization AND x.path_id = k.path_id AND x.type = k.type AND x.ordinal = k.ordinal;
