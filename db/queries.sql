-- name: role_of_connection
SELECT r.rolname::text AS name,
       r.rolsuper AS superuser,
       r.rolbypassrls AS bypass_rls,
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
                                        AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owner
FROM pg_roles r
WHERE r.rolname = current_user;

-- name: unprotected_tables
SELECT c.relname::text
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relkind IN ('r', 'p')
  AND NOT c.relname = ANY (@exceptions::text[])
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity
           AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
ORDER BY 1;

-- name: visible_classes
-- The access classes of which each attribute has one of the values, if any are given,
-- and the sets that one of these is a member of.
WITH plain AS (
  SELECT c.class
  FROM access_class c
  WHERE c.organization_id = @organization
    AND (cardinality(@environments::text[]) = 0 OR c.environment = ANY (@environments::text[]))
    AND (cardinality(@owners::text[]) = 0 OR c.owner = ANY (@owners::text[]))
    AND (cardinality(@business_tiers::text[]) = 0 OR c.business_tier = ANY (@business_tiers::text[]))
)
SELECT p.class FROM plain p
UNION
SELECT s.class
FROM access_class_set s CROSS JOIN LATERAL unnest(s.members) AS m(class)
WHERE s.organization_id = @organization AND m.class IN (SELECT p.class FROM plain p)
ORDER BY class;
