// Package access says who asks and what they may do.
//
// An [Actor] travels in the context: HTTP puts it there from a token, the
// command line and the demo put their own. The first line of every exported
// service method is [Require] (or [Reader], [Admit], [RequireAdmin], [RequireScope]),
// so no way into the product goes around it:
//
//	func (s *Service) Paths(ctx context.Context, snapshot *db.Snapshot, organization id.ID, …) (…, error) {
//		q, err := access.Reader(ctx, snapshot, organization, access.View)
//		if err != nil {
//			return nil, err
//		}
//
// # Attributes
//
// Attributes limit an actor to the workloads that have them, and to what hangs on
// these. [Reader] gives such an actor an organization in which each statement reads
// that part (see db/sight.go); [Admit] is for who looks at [VisibleClasses] itself.
// [Require] refuses such an actor: what does not ask how much a caller sees is kept
// from who sees a part.
//
// An organization that the actor is no member of answers exactly as one that
// does not exist: [OrganizationNotFound], whatever scope is missing besides.
// Roles and scopes are orthogonal: admin may create organizations and see what
// belongs to none, and still needs vuln:view to read and vuln:operate to write.
//
// # Tokens
//
// A token is a JWT signed with Ed25519 and nothing else. [Issue] needs the
// private key, which only the database's owner role reads ([EnsureKey]), so a
// server that runs as the runtime role can check tokens and cannot mint them.
// [Verifier] reads the public keys and keeps them.
//
// A token that limits its holder by an attribute that is unknown here is refused:
// showing more than a token allows is worse than showing nothing.
package access
