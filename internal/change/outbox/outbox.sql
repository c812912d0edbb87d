The notes of what happened. The instant is the organization's clock.

-- name: note
INSERT INTO change_outbox (organization_id, at, cause, urgent, size, recorded_at)
VALUES (@organization, @at, @cause, @urgent, @size, @recorded_at);

-- name: note_gap
INSERT INTO change_gap (organization_id, at, cause, reason, recorded_at)
VALUES (@organization, @at, @cause, @reason, @recorded_at)
ON CONFLICT (organization_id, at, cause) DO NOTHING;
