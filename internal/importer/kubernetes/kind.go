package kubernetes

import "strings"

// The kinds that are read. The groups are those that ever served the kind, so
// that old manifests can be read too.
var readKinds = map[string][]string{
	"Pod":                      {""},
	"ReplicationController":    {""},
	"ServiceAccount":           {""},
	"Deployment":               {"apps", "extensions"},
	"DaemonSet":                {"apps", "extensions"},
	"ReplicaSet":               {"apps", "extensions"},
	"StatefulSet":              {"apps"},
	"Job":                      {"batch"},
	"CronJob":                  {"batch"},
	"Role":                     {rbacGroup},
	"ClusterRole":              {rbacGroup},
	"RoleBinding":              {rbacGroup},
	"ClusterRoleBinding":       {rbacGroup},
	"CustomResourceDefinition": {"apiextensions.k8s.io"},
	"Service":                  {""},
	"Ingress":                  {"networking.k8s.io", "extensions"},
}

const rbacGroup = "rbac.authorization.k8s.io"

// podTemplates says where a workload kind keeps its pod.
var podTemplates = map[string][]string{
	"Pod":                   {},
	"ReplicationController": {"spec", "template"},
	"Deployment":            {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
}

// ignoredKinds are kinds of Kubernetes that say nothing about authority. A kind
// that is in neither table is unknown and is reported: it may be a misspelt
// Deployment, or an operator's own workload.
var ignoredKinds = map[string][]string{
	"": {"Binding", "ComponentStatus", "ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node",
		"PersistentVolume", "PersistentVolumeClaim", "PodTemplate", "ResourceQuota", "Secret"},
	"admissionregistration.k8s.io": {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration"},
	"apiregistration.k8s.io": {"APIService"},
	"apps":                   {"ControllerRevision"},
	"authentication.k8s.io":  {"TokenRequest", "TokenReview", "SelfSubjectReview"},
	"authorization.k8s.io": {"LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview",
		"SubjectAccessReview"},
	"autoscaling":                  {"HorizontalPodAutoscaler", "Scale"},
	"certificates.k8s.io":          {"CertificateSigningRequest", "ClusterTrustBundle", "PodCertificateRequest"},
	"coordination.k8s.io":          {"Lease", "LeaseCandidate"},
	"discovery.k8s.io":             {"EndpointSlice"},
	"events.k8s.io":                {"Event"},
	"extensions":                   {"NetworkPolicy", "PodSecurityPolicy"},
	"flowcontrol.apiserver.k8s.io": {"FlowSchema", "PriorityLevelConfiguration"},
	"internal.apiserver.k8s.io":    {"StorageVersion"},
	"networking.k8s.io":            {"IngressClass", "IPAddress", "NetworkPolicy", "ServiceCIDR"},
	"node.k8s.io":                  {"RuntimeClass"},
	"policy":                       {"Eviction", "PodDisruptionBudget", "PodSecurityPolicy"},
	"resource.k8s.io": {"DeviceClass", "DeviceTaintRule", "ResourceClaim", "ResourceClaimTemplate",
		"ResourceSlice"},
	"scheduling.k8s.io": {"PriorityClass"},
	"storage.k8s.io": {"CSIDriver", "CSINode", "CSIStorageCapacity", "StorageClass", "VolumeAttachment",
		"VolumeAttributesClass"},
	"storagemigration.k8s.io": {"StorageVersionMigration"},
}

// clusterKinds are the read kinds that have no namespace.
var clusterKinds = map[string]bool{"ClusterRole": true, "ClusterRoleBinding": true, "CustomResourceDefinition": true}

// isLabel holds for a name that Kubernetes accepts as a namespace (RFC 1123).
func isLabel(name string) bool {
	if name == "" || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// isSubdomain holds for a name that Kubernetes accepts for most objects: labels
// with dots between them. Unlike a label, each part may be longer than 63.
func isSubdomain(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
		for _, c := range []byte(part) {
			if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return false
			}
		}
	}
	return true
}

// isSegment holds for a name that can be a segment of a path, which is all that
// Kubernetes asks of roles and bindings: their names may hold colons.
func isSegment(name string) bool {
	return name != "" && len(name) <= maxText && name != "." && name != ".." && !strings.ContainsAny(name, "/%") && isPlain(name)
}

// maxText bounds names, groups, resources, verbs and paths. No real one comes
// near, and identifiers are made of them.
const maxText = 1024

// isPlain holds for text without control characters.
func isPlain(text string) bool {
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
