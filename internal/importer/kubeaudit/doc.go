// Package kubeaudit turns the audit log of a Kubernetes API server into records:
// which service accounts acted, what they did, and how often on which day.
//
// The log is what the API server writes to a file (an event to a line) or sends
// to a webhook (EventList), of any version of audit.k8s.io. It is evidence of
// presence only; docs/formats/kubernetes-audit.md says what is concluded.
//
//   - A call counts once, however many of its stages the log has, and only when
//     the server answered it. A call that was denied is no evidence.
//   - A service account is the identity namespace/name, as in manifests, and is
//     there because the server answered it, whether a manifest declares it or not.
//     Calls of anybody else (people, nodes, the control plane) say nothing about
//     workloads.
//   - Of a call that somebody makes in the name of a service account the somebody
//     is who acted. It is evidence that the authority of the account was used, and
//     marked as such ([record.Evidence.Related]).
//   - Evidence names the identity and not what was reached: which of its grants
//     allowed a call, and which destinations exist, a log does not say.
package kubeaudit
