package kubernetes

import "strings"

// resourceKey is a resource of an API group, without subresource.
type resourceKey struct{ group, resource string }

// clusterResources are the resources of Kubernetes that no namespace holds.
// A grant of one through a namespace is one that the authorizer never finds.
var clusterResources = map[resourceKey]bool{
	{"", "componentstatuses"}: true,
	{"", "groups"}:            true, // impersonated, never stored
	{"", "namespaces"}:        true,
	{"", "nodes"}:             true,
	{"", "persistentvolumes"}: true,
	{"", "users"}:             true, // impersonated, never stored
	{"admissionregistration.k8s.io", "mutatingadmissionpolicies"}:         true,
	{"admissionregistration.k8s.io", "mutatingadmissionpolicybindings"}:   true,
	{"admissionregistration.k8s.io", "mutatingwebhookconfigurations"}:     true,
	{"admissionregistration.k8s.io", "validatingadmissionpolicies"}:       true,
	{"admissionregistration.k8s.io", "validatingadmissionpolicybindings"}: true,
	{"admissionregistration.k8s.io", "validatingwebhookconfigurations"}:   true,
	{"apiextensions.k8s.io", "customresourcedefinitions"}:                 true,
	{"apiregistration.k8s.io", "apiservices"}:                             true,
	{"authentication.k8s.io", "selfsubjectreviews"}:                       true,
	{"authentication.k8s.io", "tokenreviews"}:                             true,
	{"authentication.k8s.io", "uids"}:                                     true,
	{"authentication.k8s.io", "userextras"}:                               true,
	{"authorization.k8s.io", "selfsubjectaccessreviews"}:                  true,
	{"authorization.k8s.io", "selfsubjectrulesreviews"}:                   true,
	{"authorization.k8s.io", "subjectaccessreviews"}:                      true,
	{"certificates.k8s.io", "certificatesigningrequests"}:                 true,
	{"certificates.k8s.io", "clustertrustbundles"}:                        true,
	{"certificates.k8s.io", "signers"}:                                    true,
	{"extensions", "podsecuritypolicies"}:                                 true,
	{"flowcontrol.apiserver.k8s.io", "flowschemas"}:                       true,
	{"flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"}:       true,
	{"internal.apiserver.k8s.io", "storageversions"}:                      true,
	{"metrics.k8s.io", "nodes"}:                                           true,
	{"networking.k8s.io", "ingressclasses"}:                               true,
	{"networking.k8s.io", "ipaddresses"}:                                  true,
	{"networking.k8s.io", "servicecidrs"}:                                 true,
	{"node.k8s.io", "runtimeclasses"}:                                     true,
	{"policy", "podsecuritypolicies"}:                                     true,
	{rbacGroup, "clusterrolebindings"}:                                    true,
	{rbacGroup, "clusterroles"}:                                           true,
	{"resource.k8s.io", "deviceclasses"}:                                  true,
	{"resource.k8s.io", "devicetaintrules"}:                               true,
	{"resource.k8s.io", "resourceslices"}:                                 true,
	{"scheduling.k8s.io", "priorityclasses"}:                              true,
	{"storage.k8s.io", "csidrivers"}:                                      true,
	{"storage.k8s.io", "csinodes"}:                                        true,
	{"storage.k8s.io", "storageclasses"}:                                  true,
	{"storage.k8s.io", "volumeattachments"}:                               true,
	{"storage.k8s.io", "volumeattributesclasses"}:                         true,
	{"storagemigration.k8s.io", "storageversionmigrations"}:               true,
}

func (s *set) isClusterResource(group, resource string) bool {
	resource, _, _ = strings.Cut(resource, "/")
	key := resourceKey{group, resource}
	return clusterResources[key] || s.clusterResources[key]
}

// effective says whether the authorizer ever finds a grant in a scope.
//
// Three things of the cluster can be reached through a namespace all the same,
// because the API server asks for them with a namespace: the namespace itself,
// by its name; a cluster role that someone binds in the namespace; and a pod
// security policy that a pod of the namespace uses.
func (s *set) effective(d destination, scope string, verbs []string) bool {
	if scope == anywhere {
		return true
	}
	if d.url != "" {
		return false
	}
	if !s.isClusterResource(d.group, d.resource) {
		return true
	}
	resource, _, _ := strings.Cut(d.resource, "/")
	for _, verb := range verbs {
		switch resource {
		case "namespaces":
			if (d.name == anywhere || d.name == scope) &&
				verb != "list" && verb != "watch" && verb != "create" && verb != "deletecollection" {
				return true
			}
		case "clusterroles":
			if verb == "bind" || verb == "*" {
				return true
			}
		case "podsecuritypolicies":
			if verb == "use" || verb == "*" {
				return true
			}
		}
	}
	return false
}
