package kubernetes

import (
	"slices"

	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
)

// workload is something that runs.
type workload struct {
	object
	images         []string // sorted, each once
	podLabels      map[string]string
	serviceAccount string
	automount      *bool // what the pod says; nil leaves it to the service account
	projected      bool  // a token is mounted as a projected volume
	owners         []string
}

// serviceAccount is a declared service account.
type serviceAccount struct {
	object
	automount *bool
}

func readServiceAccount(o *object, root yamldoc.Value) *serviceAccount {
	return &serviceAccount{object: *o, automount: root.Get("automountServiceAccountToken").Bool()}
}

func readWorkload(o *object, root yamldoc.Value) *workload {
	w := &workload{object: *o}
	template := root
	for _, field := range podTemplates[o.kind] {
		template = template.Get(field)
	}
	if !template.Present() {
		template.Fail("is missing: a %s needs a pod", o.kind)
	}
	pod := template.Get("spec")
	if !pod.Present() {
		pod.Fail("is missing: a %s needs a pod", o.kind)
	}
	w.podLabels = template.Get("metadata").Get("labels").TextMap()
	account := pod.Get("serviceAccountName")
	if account.Text() == "" {
		account = pod.Get("serviceAccount") // the name it had before Kubernetes 1.1, still accepted
	}
	w.serviceAccount = account.Text()
	if w.serviceAccount == "" {
		w.serviceAccount = "default"
	} else if !isSubdomain(w.serviceAccount) {
		account.Fail("%s is no name of a service account", quoted(w.serviceAccount))
	}
	w.automount = pod.Get("automountServiceAccountToken").Bool()
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for _, container := range pod.Get(list).Items() {
			image := container.Get("image")
			if !isPlain(image.Text()) {
				image.Fail("is no name of an image")
			}
			if image.Text() != "" {
				w.images = append(w.images, image.Text())
			}
		}
	}
	slices.Sort(w.images)
	w.images = slices.Compact(w.images)
	for _, volume := range pod.Get("volumes").Items() {
		for _, source := range volume.Get("projected").Get("sources").Items() {
			w.projected = w.projected || source.Get("serviceAccountToken").Present()
		}
	}
	for _, owner := range root.Get("metadata").Get("ownerReferences").Items() {
		if controller := owner.Get("controller").Bool(); controller != nil && *controller {
			w.owners = append(w.owners, owner.Get("kind").Text()+"/"+o.namespace+"/"+owner.Get("name").Text())
		}
	}
	return w
}

// identity is the source id of the service account that the workload runs as.
func (w *workload) identity() string { return w.namespace + "/" + w.serviceAccount }

// mountsToken says whether a token of the service account reaches the pod: the
// pod's word beats the account's, and a projected volume beats both.
func (w *workload) mountsToken(account *serviceAccount) bool {
	switch {
	case w.projected:
		return true
	case w.automount != nil:
		return *w.automount
	case account != nil && account.automount != nil:
		return *account.automount
	}
	return true
}

// readDefinition reads which resource a custom resource definition defines, and
// whether it is one of the cluster.
func readDefinition(root yamldoc.Value) (group, plural string, cluster bool) {
	spec := root.Get("spec")
	return spec.Get("group").Text(), spec.Get("names").Get("plural").Text(), spec.Get("scope").Text() == "Cluster"
}
