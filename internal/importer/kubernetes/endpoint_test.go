package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/record/recordtest"
)

// answers are the endpoints that were said, one a line, as they were said.
func answers(got *recordtest.Collector) (said []string) {
	for _, r := range got.Records {
		if e, ok := r.Fact.(record.Endpoint); ok {
			said = append(said, fmt.Sprintf("%s %s %s:%d", e.Workload.SourceID, e.Kind, e.Value, e.Port))
		}
	}
	return said
}

// pod is a deployment whose pods have some labels.
func pod(name, labels string) string {
	return fmt.Sprintf("\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, labels: {app: own}}\n"+
		"spec: {template: {metadata: {labels: {%s}}, spec: {containers: [{image: a}]}}}\n", name, labels)
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	shop := pod("web", "app: shop, tier: web") + pod("batch", "app: shop, tier: batch") + pod("other", "app: other")
	service := func(body string) string {
		return "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: shop}\n" + body
	}
	selects := service("spec: {selector: {app: shop, tier: web}, ports: [{port: 80}]}\n")
	for name, c := range map[string]struct {
		manifests string
		said      []string
	}{
		"a service inside": {shop + selects, nil},
		"a load balancer": {shop + service("spec: {type: LoadBalancer, loadBalancerIP: 203.0.113.7, selector: {app: shop, tier: web}, ports: [{port: 80}, {port: 443}]}\n"+
			"status: {loadBalancer: {ingress: [{ip: 203.0.113.7}, {hostname: LB-1.Example.net}]}}\n"), []string{
			"Deployment/default/web address 203.0.113.7:80", "Deployment/default/web address 203.0.113.7:443",
			"Deployment/default/web hostname lb-1.example.net:80", "Deployment/default/web hostname lb-1.example.net:443",
		}},
		"external addresses, and all that is selected": {shop + service("spec: {externalIPs: [\"2001:DB8::1\"], selector: {app: shop}, ports: [{port: 8080}]}\n"), []string{
			"Deployment/default/web address 2001:db8::1:8080", "Deployment/default/batch address 2001:db8::1:8080",
		}},
		"a selector that is no subset": {pod("web", "app: shop") + service("spec: {externalIPs: [203.0.113.7], selector: {app: shop, tier: web}, ports: [{port: 80}]}\n"), nil},
		"no selector":                  {shop + service("spec: {externalIPs: [203.0.113.7], ports: [{port: 80}]}\n"), nil},
		"another namespace":            {shop + strings.Replace(service("spec: {externalIPs: [203.0.113.7], selector: {app: shop}, ports: [{port: 80}]}\n"), "{name: shop}", "{name: shop, namespace: b}", 1), nil},
		"an address that a service of the cluster has": {shop + service("spec: {clusterIP: 10.0.0.7, selector: {app: shop}, ports: [{port: 80, nodePort: 30080}]}\n"+
			"status: {loadBalancer: {ingress: [{ip: 203.0.113.7}]}}\n"), nil},
		"an ingress": {shop + selects + "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n" +
			"spec: {rules: [{host: Shop.example.com, http: {paths: [{backend: {service: {name: shop}}}, {path: /b, backend: {service: {name: shop}}}]}}, {host: \"*.example.com\", http: {paths: [{backend: {service: {name: shop}}}]}}]}\n", []string{
			"Deployment/default/web ingress shop.example.com:0", "Deployment/default/web ingress *.example.com:0",
		}},
		"an ingress of old": {shop + selects + "\n---\napiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: i}\n" +
			"spec: {rules: [{host: shop.example.com, http: {paths: [{backend: {serviceName: shop, servicePort: 80}}]}}]}\n", []string{
			"Deployment/default/web ingress shop.example.com:0",
		}},
		"an ingress for whatever is asked for": {shop + selects + "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n" +
			"spec: {defaultBackend: {service: {name: shop}}}\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.8}]}}\n", []string{
			"Deployment/default/web ingress 203.0.113.8:80", "Deployment/default/web ingress 203.0.113.8:443",
		}},
		"an ingress to nowhere": {shop + "\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i}\n" +
			"spec: {rules: [{host: shop.example.com, http: {paths: [{backend: {service: {name: gone}}}, {backend: {resource: {kind: Bucket, name: b}}}]}}]}\n", nil},
	} {
		got := parsed(t, c.manifests)
		require.Empty(t, got.Rejections, name)
		require.Empty(t, got.Warnings, name)
		require.Equal(t, c.said, answers(got), name)
	}
}

// A replica answers as its controller, whose own pods the service selects.
func TestEndpointsOfReplicas(t *testing.T) {
	t.Parallel()
	got := parsed(t, pod("web", "app: shop")+"\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-1, labels: {app: shop}, ownerReferences: [{kind: Deployment, name: web, controller: true}]}\n"+
		"spec: {containers: [{image: a}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: alone, labels: {app: shop}}\nspec: {containers: [{image: a}]}\n"+
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {externalIPs: [203.0.113.7], selector: {app: shop}, ports: [{port: 80}]}\n")
	require.Equal(t, []string{"Deployment/default/web address 203.0.113.7:80", "Pod/default/alone address 203.0.113.7:80"}, answers(got))
}

func TestEndpointsRefuse(t *testing.T) {
	t.Parallel()
	for body, reason := range map[string]string{
		"kind: Service\napiVersion: v1\nmetadata: {name: s}\nspec: {externalIPs: [203.0.113.999]}\n":                                "no address",
		"kind: Service\napiVersion: v1\nmetadata: {name: s}\nspec: {ports: [{port: 70000}]}\n":                                      "no port",
		"kind: Service\napiVersion: v1\nmetadata: {name: s}\nspec: {ports: [{port: http}]}\n":                                       "whole number",
		"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: i}\nspec: {rules: [{host: \"https://x\"}]}\n":            "no address",
		"kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: i}\nspec: {rules: {host: x}}\n":                          "must be a list",
		"kind: Service\napiVersion: v1\nmetadata: {name: s}\nspec: {type: LoadBalancer, loadBalancerIP: \"a b\", selector: {a: b}}": "no address",
	} {
		var got recordtest.Collector
		require.NoError(t, Parse(texts(body), Options{}, &got))
		require.Len(t, got.Rejections, 1, body)
		require.Contains(t, got.Rejections[0].Reason, reason, body)
		require.Empty(t, answers(&got))
	}
}
