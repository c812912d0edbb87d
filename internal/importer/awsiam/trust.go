package awsiam

import (
	"fmt"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// trust is who may become a role, as its trust policy says.
type trust struct {
	services map[string]bool
	anyone   *record.Position            // every principal of every account
	account  *record.Position            // those of the account that their own policies allow to
	direct   map[string]*record.Position // those that are named, by ARN
	denied   map[string]bool
	nobody   bool // every principal of the account is denied
	unserved bool // every service is
}

// become ties a principal to a role that it can become.
type become struct {
	from, to *principal
	at       record.Position
}

const assumeRole = "sts:assumerole"

// readTrust reads the trust policy of a role and names what it does not follow.
func (e *evaluation) readTrust(p *principal) trust {
	t := trust{services: map[string]bool{}, direct: map[string]*record.Position{}, denied: map[string]bool{}}
	warn := func(s *statement, code, format string, args ...any) {
		p.loose = true
		e.warn(s.at, code, "The trust policy of %s, statement %s: %s", p.arn, s.title(), fmt.Sprintf(format, args...))
	}
	for i := range p.trust {
		s := &p.trust[i]
		if !s.isAbout(assumeRole) && !s.isAbout("sts:assumerolewithsaml") && !s.isAbout("sts:assumerolewithwebidentity") {
			continue
		}
		if s.conditional && s.deny {
			warn(s, "DENY_NOT_EVALUATED", "a Deny with a condition. Whom it keeps out is shown as let in.")
			continue
		}
		if s.conditional {
			warn(s, "CONDITION_NOT_EVALUATED", "it has a condition. Those that it names are shown as if the condition held.")
		}
		if s.notPrincipals {
			if s.deny {
				warn(s, "NOT_PRINCIPAL_NOT_EVALUATED", "it denies everybody but some (NotPrincipal). Whom it keeps out is shown as let in.")
				continue
			}
			warn(s, "NOT_PRINCIPAL_NOT_EVALUATED", "it lets in everybody but some (NotPrincipal). They are shown as let in, too.")
			t.anyone = &s.at
		}
		for _, one := range s.principals {
			if s.deny {
				t.deny(e.id, one)
			} else {
				e.follow(&t, s, one, warn)
			}
		}
	}
	return t
}

// isAbout says whether a statement is about an action without wildcards.
func (s *statement) isAbout(action string) bool {
	return slices.ContainsFunc(s.lower, func(pattern string) bool { return matches(pattern, action) }) != (s.notActions != nil)
}

// rootOf is the account that a principal stands for as a whole.
func rootOf(name string) (account string, ok bool) {
	if IsAccount(name) {
		return name, true
	}
	parts, isARN := parseARN(name)
	return parts.account, isARN && parts.service == "iam" && parts.resource == "root"
}

func (t *trust) deny(account string, one trusted) {
	root, isRoot := rootOf(one.name)
	switch {
	case one.kind == "Service":
		t.denied[one.name] = true
	case one.kind != "AWS":
	case one.name == anything:
		t.nobody, t.unserved = true, true
	case isRoot:
		t.nobody = t.nobody || root == account
	default:
		t.denied[one.name] = true
	}
}

// follow notes a principal that a statement lets in.
func (e *evaluation) follow(t *trust, s *statement, one trusted, warn func(s *statement, code, format string, args ...any)) {
	if one.kind == "Service" {
		t.services[one.name] = true
		return
	}
	if one.kind == "Federated" {
		warn(s, "TRUST_FEDERATED", "it lets in whom %s vouches for. They are not followed.", quoted(one.name))
		return
	}
	root, isRoot := rootOf(one.name)
	parts, isARN := parseARN(one.name)
	switch {
	case one.kind != "AWS":
		warn(s, "TRUST_NOT_FOLLOWED", "it lets in the %s %s, which is not followed.", one.kind, quoted(one.name))
	case !s.isAbout(assumeRole):
		warn(s, "TRUST_NOT_FOLLOWED", "it names %s with an action that is not for it.", quoted(one.name))
	case one.name == anything:
		warn(s, "TRUST_ANYONE", "any principal of any account can become the role. Those of this account are followed.")
		t.anyone = &s.at
	case isRoot && root == e.id:
		t.account = &s.at
	case isRoot:
		warn(s, "TRUST_FOREIGN", "it lets in the account %s, whose principals are not followed.", quoted(root))
	case isARN && parts.service == "iam" && e.principalByARN[one.name] != nil:
		t.direct[one.name] = &s.at
	case isARN && IsAccount(parts.account) && parts.account != e.id:
		warn(s, "TRUST_FOREIGN", "it lets in %s of another account, which is not followed.", quoted(one.name))
	default:
		warn(s, "TRUST_NOT_FOLLOWED", "it lets in %s, which is no identity of the dump and is not followed.", quoted(one.name))
	}
}

// admits says who of the account can become a role, and where that is said. Whom
// the trust policy names needs no policy of its own; those that it names as the
// account do. A Deny of their own keeps out either.
func (e *evaluation) admits(t *trust, from, to *principal) (*record.Position, error) {
	if from == to || t.nobody || t.denied[from.arn] {
		return nil, nil
	}
	at := t.direct[from.arn]
	if at == nil {
		at = t.anyone
	}
	if at == nil && t.account == nil {
		return nil, nil
	}
	allowed, denied, err := e.mayAssume(from, to.arn)
	switch {
	case err != nil || denied:
		return nil, err
	case at == nil && allowed:
		at = t.account
	}
	return at, nil
}

// mayAssume evaluates the policies of a principal for one role. What is allowed
// under a condition is allowed; what is denied under one is not denied.
func (e *evaluation) mayAssume(p *principal, role string) (allowed, denied bool, err error) {
	for _, s := range e.assuming[p] {
		if err := e.spend(1 + len(s.general)/4); err != nil {
			return false, false, err
		}
		switch reach := s.reaches(role); {
		case reach == none:
		case !s.deny:
			allowed = true
		case reach == whole && !s.conditional:
			return false, true, nil
		}
	}
	return allowed, false, nil
}

// resolveTrust finds who can become which role.
func (e *evaluation) resolveTrust() error {
	for _, to := range e.principals {
		if to.user || !to.declared {
			continue
		}
		t := e.readTrust(to)
		e.trusts[to] = &t
		to.loose = to.loose || to.mistrust
		for service := range t.services {
			if t.unserved || t.denied[service] {
				delete(t.services, service)
			} else if !e.listed(service) {
				to.loose = true
				e.unlisted[service]++
			}
		}
		if t.anyone == nil && t.account == nil && len(t.direct) == 0 {
			continue
		}
		for _, from := range e.principals {
			at, err := e.admits(&t, from, to)
			if err != nil {
				return err
			}
			if at != nil {
				e.becomes = append(e.becomes, become{from: from, to: to, at: *at})
			}
		}
	}
	return nil
}

// The services whose workloads are read, without the end of their names, which
// differs between the partitions.
const (
	lambdaService = "lambda.amazonaws.com"
	ec2Service    = "ec2.amazonaws.com"
)

// listed says whether the delivery has the workloads of a service.
func (e *evaluation) listed(service string) bool {
	switch strings.TrimSuffix(service, ".cn") {
	case lambdaService:
		return e.pages["Functions"] != nil && e.pages["Functions"].last > 0
	case ec2Service:
		return e.pages["Reservations"] != nil && e.pages["Reservations"].last > 0
	}
	return false
}

// warnUnlisted names the services that can run as a role and whose workloads no
// list has.
func (e *evaluation) warnUnlisted() {
	if len(e.unlisted) == 0 {
		return
	}
	var names []string
	for service, roles := range e.unlisted {
		names = append(names, fmt.Sprintf("%s (%d)", quoted(service), roles))
	}
	slices.Sort(names)
	if len(names) > 20 {
		names = append(names[:20], "…")
	}
	e.warn(record.Position{File: e.dump}, "SERVICE_NOT_LISTED",
		"Roles can be taken by services whose workloads are not in this delivery: %s. What runs as those roles is not known.", strings.Join(names, ", "))
}

// runs says whether a service is let in by a role, as far as that is known.
func (e *evaluation) runs(p *principal, service string) bool {
	t := e.trusts[p]
	return t == nil || p.mistrust || t.anyone != nil || t.services[service] || t.services[service+".cn"]
}
