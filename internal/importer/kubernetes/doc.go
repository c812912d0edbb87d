// Package kubernetes turns Kubernetes manifests into records: what runs, which
// service account it runs as, which roles are bound to that account, and what
// those roles reach.
//
// All files of one import are one set: a binding in one file may name a role in
// another. The set is read first, object by object, and resolved afterwards;
// nothing is asked of a cluster.
//
// # What becomes what
//
//	workload   Kind/namespace/name       Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet,
//	                                     ReplicationController, Job, CronJob
//	identity   namespace/name            a service account: declared, used by a workload, or
//	                                     named by a binding
//	role       ClusterRole/name          or Role/namespace/name
//	resource   scope|group|resource|name what a rule reaches, in the scope of the binding
//
// A workload that is owned by a controller of the same set is that controller's
// replica and no workload of its own.
//
// # How authority is resolved
//
//   - A role binding gives its role in its own namespace, also if the role is a
//     ClusterRole; a cluster role binding gives it everywhere ("*"). Roles that
//     are bound to no service account have no destinations.
//   - An aggregated ClusterRole has the rules of the ClusterRoles that its
//     selectors match, those of Kubernetes included, and none of its own: the
//     controller in a cluster overwrites them. The grant carries the name of the
//     role that is bound.
//   - A role of Kubernetes itself that is bound but not declared is taken from
//     builtin.yaml.
//   - A group of service accounts (system:serviceaccounts, with or without a
//     namespace, and system:authenticated) stands for every identity of the set
//     that is in it.
//   - The bindings that Kubernetes makes by default for every authenticated
//     principal are no paths of a workload, neither when they are left out nor
//     when an export of a cluster contains them.
//   - Rules multiply: two groups and three resources are six destinations, also
//     where the API has no such resource. Wildcards are kept as they are
//     written.
//   - A resource that exists only in the cluster as a whole cannot be reached
//     through a namespace: such a grant is marked as ineffective. The exceptions
//     that the authorizer makes are in scope.go.
//   - A workload runs as its service account whether or not a token is mounted.
//     That no token is mounted is warned about and removes no path: a manifest
//     cannot show that none arrives by another way.
//
// # Where workloads answer
//
// A Service selects pods by their labels, and so the workloads of its namespace
// whose pods have them; one without a selector selects nobody here.
//
//   - The addresses that a Service is given from outside are those of the
//     workloads that it selects, on its ports: external addresses of any Service,
//     and of a LoadBalancer the address that it asks for and what its status says.
//     Ports of nodes are on addresses that no manifest knows.
//   - The hosts of an Ingress lead to the workloads behind its backends. A rule
//     without a host, and the backend for what no rule matches, answer at the
//     addresses of the status of the Ingress.
//
// What a workload answers at adds no destination to it and no path.
//
// Manifests say nothing about owners, egress and executions. Bindings and roles
// are covered completely, unless an object was rejected or a role is missing.
package kubernetes
