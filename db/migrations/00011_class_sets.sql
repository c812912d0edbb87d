-- What leads to workloads of several access classes is of a class that stands for them,
-- and is shown to whoever sees one of them: docs/adr/0026-who-sees-a-part-reads-a-third-text.md.

-- +goose Up
CREATE TABLE access_class_set (
  organization_id uuid      NOT NULL REFERENCES organization (id),
  class           integer   NOT NULL CHECK (class > 0),
  members         integer[] NOT NULL CHECK (cardinality(members) > 1),
  digest          bytea     NOT NULL CHECK (length(digest) = 32),
  PRIMARY KEY (organization_id, class),
  UNIQUE (organization_id, digest)
);
COMMENT ON TABLE access_class_set IS 'Access classes that stand for several others. Numbered with access_class: no class is in both.';
COMMENT ON COLUMN access_class_set.members IS 'Classes of access_class, in their order, each once.';
COMMENT ON COLUMN access_class_set.digest IS 'Of the members, of which there may be more than an index takes.';
CALL protect('access_class_set');
COMMENT ON COLUMN asset.class IS 'The access class of its workloads, or of the set of their classes; 0 if none of them has one.';

-- Assets of several workloads had no class until now. They have one from the instant on
-- since which their links, and what workloads say, stand as they do: what was before that
-- stays hidden from whoever sees a part. Row level security holds for the owner, too, so
-- this goes through the organizations one by one.
-- +goose StatementBegin
DO $$
DECLARE
  o uuid;
BEGIN
  FOR o IN SELECT id FROM organization LOOP
    PERFORM set_config('app.organization', o::text, true);
    WITH led AS (
      SELECT l.asset_id, array_agg(DISTINCT w.class ORDER BY w.class) AS members, max(greatest(l.from_at, w.from_at)) AS since
      FROM asset_link l
      JOIN entity w ON w.organization_id = o AND w.id = l.workload_id AND w.class > 0
      WHERE l.organization_id = o AND l.to_at IS NULL
      GROUP BY l.asset_id
    ), found AS MATERIALIZED (
      SELECT a.id, d.members, greatest(a.from_at, d.since) AS since
      FROM led d
      JOIN asset a ON a.organization_id = o AND a.id = d.asset_id AND a.class = 0
    ), added AS (
      INSERT INTO access_class_set (organization_id, class, members, digest)
      SELECT o, (SELECT max(c.class) FROM access_class c WHERE c.organization_id = o) + row_number() OVER (ORDER BY d.members),
             d.members, sha256(convert_to(array_to_string(d.members, ','), 'UTF8'))
      FROM (SELECT DISTINCT f.members FROM found f WHERE cardinality(f.members) > 1) d
      RETURNING class, members
    ), classed AS (
      SELECT f.id, f.since, coalesce(s.class, f.members[1]) AS class
      FROM found f LEFT JOIN added s ON s.members = f.members
    ), kept AS (
      INSERT INTO asset_version (organization_id, id, version, from_at, to_at, status, state, attributes, technology, confidence, plugin, class)
      SELECT o, a.id, a.version, a.from_at, c.since, a.status, a.state, a.attributes, a.technology, a.confidence, a.plugin, a.class
      FROM classed c JOIN asset a ON a.organization_id = o AND a.id = c.id
      WHERE a.from_at < c.since
    )
    UPDATE asset a
    SET class = c.class, version = a.version + (a.from_at < c.since)::integer, from_at = c.since
    FROM classed c
    WHERE a.organization_id = o AND a.id = c.id;
  END LOOP;
  PERFORM set_config('app.organization', '', true);
END
$$;
-- +goose StatementEnd

-- +goose Down
-- Without the table the numbers of sets are given again, to others: nothing may keep one.
ALTER TABLE exposure_changes DISABLE TRIGGER append_only;
-- +goose StatementBegin
DO $$
DECLARE
  o uuid;
  sets integer[];
BEGIN
  FOR o IN SELECT id FROM organization LOOP
    PERFORM set_config('app.organization', o::text, true);
    sets := ARRAY(SELECT s.class FROM access_class_set s WHERE s.organization_id = o);
    UPDATE asset SET class = 0 WHERE organization_id = o AND class = ANY (sets);
    UPDATE asset_version SET class = 0 WHERE organization_id = o AND class = ANY (sets);
    UPDATE exposure_changes SET class = 0 WHERE organization_id = o AND class = ANY (sets);
    WITH hidden AS (
      DELETE FROM exposure_change_day WHERE organization_id = o AND class = ANY (sets) RETURNING day, change_type, severity, events
    )
    INSERT INTO exposure_change_day AS d (organization_id, day, change_type, severity, class, events)
    SELECT o, h.day, h.change_type, h.severity, 0, sum(h.events) FROM hidden h GROUP BY h.day, h.change_type, h.severity
    ON CONFLICT (organization_id, day, change_type, severity, class) DO UPDATE SET events = d.events + excluded.events;
  END LOOP;
  PERFORM set_config('app.organization', '', true);
END
$$;
-- +goose StatementEnd
ALTER TABLE exposure_changes ENABLE TRIGGER append_only;
COMMENT ON COLUMN asset.class IS 'The access class of its workloads if they have one class, else 0.';
DROP TABLE access_class_set;
