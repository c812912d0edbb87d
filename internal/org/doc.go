// Package org keeps the organizations, the hard boundary of the product. They
// are named by a slug, from which their id is derived (id.Organization), so a
// token or an address needs no look-up to know which organization it means.
//
// Nothing here tells an organization that does not exist from one that the
// actor is no member of.
package org
