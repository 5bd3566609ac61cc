package assets

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"
	"text/template"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"flowbridge/router/rules"
	"flowbridge/router/store"
)

// objects decodes manifests as the API server does, and refuses fields that it does not know.
func objects(t *testing.T, text string) map[string]any {
	t.Helper()
	found := map[string]any{}
	for _, part := range strings.Split(text, "\n---\n") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(part), &head); err != nil {
			t.Fatalf("%v\n%s", err, part)
		}
		if head.Kind == "" {
			continue // a template that is left out
		}
		into, ok := map[string]any{
			"v1/ConfigMap": &corev1.ConfigMap{}, "v1/Service": &corev1.Service{},
			"apps/v1/StatefulSet": &appsv1.StatefulSet{}, "apps/v1/Deployment": &appsv1.Deployment{},
			"policy/v1/PodDisruptionBudget":      &policyv1.PodDisruptionBudget{},
			"networking.k8s.io/v1/NetworkPolicy": &networkingv1.NetworkPolicy{},
		}[head.APIVersion+"/"+head.Kind]
		if !ok {
			t.Fatalf("%s %s is of no kind that is known", head.APIVersion, head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(part), into, yaml.DisallowUnknownFields); err != nil {
			t.Errorf("%v\n%s", err, part)
		}
		found[head.Kind] = into
	}
	return found
}

// chart renders the Helm chart with the few functions that it uses, as helm template does.
func chart(t *testing.T, set map[string]any) string {
	t.Helper()
	text, _ := Read("helm/values.yaml")
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	for name, value := range set {
		values[name] = value
	}
	var out bytes.Buffer
	for _, name := range under("helm/templates") {
		text, _ := Read(name)
		shape, err := template.New(path.Base(name)).Option("missingkey=error").
			Funcs(template.FuncMap{"quote": func(s any) string { return strconv.Quote(fmt.Sprint(s)) }}).Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".yaml") {
			out.WriteString("\n---\n")
		} else {
			out.WriteString("\n---\n# ")
		}
		var one bytes.Buffer
		if err := shape.Execute(&one,
			map[string]any{"Values": values, "Release": map[string]any{"Name": "watch"}}); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".yaml") {
			out.Write(one.Bytes())
		} else if one.Len() == 0 {
			t.Errorf("%s says nothing", name)
		}
	}
	return out.String()
}

// TestManifestsAreWhatKubernetesTakes decodes them strictly, those of the chart as well, and holds what makes them
// safe.
func TestManifestsAreWhatKubernetesTakes(t *testing.T) {
	sqlite, _ := Read("kubernetes-sqlite.yaml")
	postgres, _ := Read("kubernetes-postgres.yaml")
	const url = "postgres://flowbridge@db.example.com/flowbridge?sslmode=verify-full" +
		"&passfile=/run/secrets/flowbridge/pgpass"
	for _, c := range []struct {
		name, text string
		several    bool
	}{
		{"kubernetes-sqlite.yaml", string(sqlite), false},
		{"kubernetes-postgres.yaml", string(postgres), true},
		{"helm with SQLite", chart(t, nil), false},
		{"helm with PostgreSQL", chart(t, map[string]any{"databaseURL": url, "replicas": 3,
			"env": map[string]any{"FLOWBRIDGE_KEEP_EVENTS": "30d"}}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := objects(t, c.text)
			var pod corev1.PodTemplateSpec
			var selector map[string]string
			if c.several {
				d, ok := found["Deployment"].(*appsv1.Deployment)
				if !ok || found["StatefulSet"] != nil {
					t.Fatal("PostgreSQL wants a Deployment")
				}
				if *d.Spec.Replicas < 2 || d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
					t.Error("it has fewer than two bridges, or takes one away before another is ready")
				}
				if hook := d.Spec.Template.Spec.Containers[0].Lifecycle; hook == nil || hook.PreStop.Sleep.Seconds < 5 {
					t.Error("a bridge stops while the Service still sends posts to it")
				}
				pdb, ok := found["PodDisruptionBudget"].(*policyv1.PodDisruptionBudget)
				if !ok || pdb.Spec.MinAvailable.IntValue() != 1 || !fits(pdb.Spec.Selector.MatchLabels, d.Spec.Template.Labels) {
					t.Error("no budget keeps one of them")
				}
				pod, selector = d.Spec.Template, d.Spec.Selector.MatchLabels
			} else {
				s, ok := found["StatefulSet"].(*appsv1.StatefulSet)
				if !ok || found["Deployment"] != nil || found["PodDisruptionBudget"] != nil {
					t.Fatal("SQLite wants a StatefulSet alone")
				}
				if *s.Spec.Replicas != 1 || len(s.Spec.VolumeClaimTemplates) != 1 {
					t.Error("one bridge and one volume belong to SQLite")
				}
				pod, selector = s.Spec.Template, s.Spec.Selector.MatchLabels
			}
			service, policy := found["Service"].(*corev1.Service), found["NetworkPolicy"].(*networkingv1.NetworkPolicy)
			for what, labels := range map[string]map[string]string{
				"workload": selector, "Service": service.Spec.Selector, "NetworkPolicy": policy.Spec.PodSelector.MatchLabels,
			} {
				if !fits(labels, pod.Labels) {
					t.Errorf("the %s selects %v, and pods have %v", what, labels, pod.Labels)
				}
			}
			checkPod(t, pod.Spec)
			for _, m := range found["ConfigMap"].(*corev1.ConfigMap).Data {
				if _, err := rules.Load("rules.yaml", []byte(m), rules.Config{}); err != nil {
					t.Error(err)
				}
			}
			for _, port := range service.Spec.Ports {
				if port.TargetPort.StrVal != "public" {
					t.Errorf("the Service leads to %s as well", port.TargetPort.String())
				}
			}
		})
	}
}

// fits says whether a selector selects pods with these labels.
func fits(selector, labels map[string]string) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

// checkPod holds that nothing runs with rights that it does not need, and that probes ask what the bridge answers.
func checkPod(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	c := pod.Containers[0]
	inPod, own := pod.SecurityContext, c.SecurityContext
	switch {
	case !*inPod.RunAsNonRoot, *inPod.RunAsUser != 65532,
		inPod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Error("the pod may run as root or without a filter of system calls")
	case !*own.ReadOnlyRootFilesystem, *own.AllowPrivilegeEscalation, fmt.Sprint(own.Capabilities.Drop) != "[ALL]":
		t.Error("the container may write its root, gain rights, or has capabilities")
	case *pod.AutomountServiceAccountToken:
		t.Error("the pod has a token for the API server, and needs none")
	}
	if got := c.LivenessProbe.HTTPGet.Path + c.StartupProbe.HTTPGet.Path +
		c.ReadinessProbe.HTTPGet.Path; got != "/healthz/healthz/readyz" {
		t.Errorf("the probes ask %s", got)
	}
	ports := map[string]bool{}
	for _, p := range c.Ports {
		ports[p.Name] = true
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.StartupProbe, c.ReadinessProbe} {
		if !ports[p.HTTPGet.Port.StrVal] {
			t.Errorf("a probe asks the port %s, which is none", p.HTTPGet.Port.String())
		}
	}
	volumes := map[string]bool{"data": true} // of a StatefulSet: from its claim
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	for _, e := range c.Env {
		if e.Name == "FLOWBRIDGE_DB" {
			if err := store.CheckDSN(e.Value); err != nil {
				t.Error(err)
			}
		}
		if strings.HasSuffix(e.Name, "_FILE") && !strings.HasPrefix(e.Value, "/run/secrets/flowbridge/") {
			t.Errorf("%s is %s, where no secret is mounted", e.Name, e.Value)
		}
	}
}
