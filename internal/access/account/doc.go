// Package account holds the service accounts of a small installation: a YAML file that
// says who may get which tokens by OAuth's client credentials (RFC 6749, section 4.4).
//
//	accounts:
//	  - id: ci-scanner
//	    secret: pbkdf2-sha256$600000$…   # of `exposuregraph token hash-secret`
//	    scopes: [vuln:view, vuln:operate]
//	    organizations: [acme]            # or: all
//	    ttl: 15m
//	    attributes:
//	      env: [prod, staging]
//
// The file holds no secret, only what recognises one. Every mistake in it is found at
// once, each with its line, its path and what to do. A request gets what it asks for
// within what the account has: never more, and all of it where it asks for nothing.
package account
