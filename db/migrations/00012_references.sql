-- +goose Up
-- A foreign key looks its row up for each that is written. On what a sync writes by the
-- hundred thousand that took longer than the writing itself; `invariant check` proves
-- these as it proves those of paths and exposures (ADR 2).
ALTER TABLE entity DROP CONSTRAINT entity_organization_id_fkey;
ALTER TABLE egress DROP CONSTRAINT egress_organization_id_source_id_fkey;
ALTER TABLE evidence DROP CONSTRAINT evidence_organization_id_source_id_fkey;

-- +goose Down
ALTER TABLE entity ADD FOREIGN KEY (organization_id) REFERENCES organization (id);
ALTER TABLE egress ADD FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id);
ALTER TABLE evidence ADD FOREIGN KEY (organization_id, source_id) REFERENCES source (organization_id, id);
