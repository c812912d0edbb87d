// Package oidc reads the keys of an issuer of access tokens: by OpenID Connect
// Discovery, which says where its JSON Web Key Set is, and from there. When they are
// read, and for how long they are good, is [access.Verifier]'s to say.
//
// Whoever could answer in the issuer's place could make tokens. So the addresses are
// https, or http on the machine itself; the issuer must call itself by the name it was
// configured with, to the byte (OpenID Connect Discovery 1.0, section 4.3); redirects
// are not followed; and answers are bounded.
package oidc
