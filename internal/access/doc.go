// Package access says who asks and what they may do.
//
// An [Actor] travels in the context: HTTP puts it there from a token, the
// command line and the demo put their own. The first line of every exported
// service method is [Require] (or [RequireAdmin], [RequireScope]), so no way
// into the product goes around it:
//
//	func (s *Service) Paths(ctx context.Context, organization id.ID, …) (…, error) {
//		if err := access.Require(ctx, organization, access.View); err != nil {
//			return nil, err
//		}
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
// A token that limits its holder by attributes is refused: this version does
// not filter by attributes, and showing more than a token allows is worse than
// showing nothing.
package access
