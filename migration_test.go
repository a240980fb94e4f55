package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/world"
)

// operatorGroup is the API group of the DittoFS operator's DittoServer.
const operatorGroup = "dittofs.dittofs.com"

// An operatorServer is a server that the DittoFS operator made, as an API
// server holds it: see testdata/operator/README.md.
type operatorServer struct {
	// owner is the operator's DittoServer.
	owner object
	// objects beside it.
	objects []object
}

// operatorServers by what the operator's DittoServer asks for.
func operatorServers(t testing.TB) map[string]operatorServer {
	t.Helper()

	servers := map[string]operatorServer{}
	for _, name := range []string{"sqlite", "percona", "external"} {
		files, err := filepath.Glob(filepath.Join("testdata", "operator", name, "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no objects of a server %s: %v", name, err)
		}
		s := operatorServer{}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
				o := object{}
				if err := yaml.Unmarshal(document, &o); err != nil {
					t.Fatalf("%s: %v", f, err)
				}
				if textAt(o, "kind") == "DittoServer" {
					s.owner = o

					continue
				}
				s.objects = append(s.objects, o)
			}
		}
		servers[name] = s
	}

	return servers
}

// successor is the DittoServer that a person makes of the operator's: another
// apiVersion, and the rest as it was.
func (o operatorServer) successor(edits ...any) object {
	return edit(namespaced("spec", mapAt(o.owner, "spec")), edits...)
}

// situation of the successor beside the operator's objects.
func (o operatorServer) situation(edits ...any) *situation {
	return newSituation(o.successor(edits...)).add(o.objects...).add(
		object{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": object{"name": "v1.monitoring.coreos.com"}},
	)
}

// find an object of the server.
func (o operatorServer) find(kind, name string) object {
	i := slices.IndexFunc(o.objects, func(o object) bool { return textAt(o, "kind") == kind && textAt(o, "metadata", "name") == name })
	if i < 0 {
		return nil
	}

	return o.objects[i]
}

// operatorKeys of what the operator made and the function composes.
func operatorKeys(name string) []string {
	keys := []string{
		"admin-credentials", "api-service", "config", "headless-service", "jwt-secret",
		"network-policy", "nfs-service", "smb-service", "statefulset",
	}
	switch name {
	case "sqlite":
		keys = append(keys, "metrics-service", "service-monitor")
	case "percona":
		keys = append(keys, "postgres-cluster")
	}

	return slices.Sorted(slices.Values(keys))
}

// isOperators tells whether an ownerReference leads to the operator's
// DittoServer.
func isOperators(ref any) bool {
	return strings.HasPrefix(textAt(ref, "apiVersion"), operatorGroup+"/")
}

// orphanedObject is what deleting the operator's DittoServer with
// --cascade=orphan leaves of one.
func orphanedObject(o object) object {
	o = clone(o)
	left := slices.DeleteFunc(listAt(o, "metadata", "ownerReferences"), isOperators)
	setField(o, left, "metadata", "ownerReferences")
	if len(left) == 0 {
		setField(o, nil, "metadata", "ownerReferences")
	}

	return o
}

// Commands that the script prints.

// A printedLine of the script.
type printedLine struct {
	text string
	args []string
	// off tells that the line is commented out.
	off bool
}

var printedWord = regexp.MustCompile(`[^\s']*'[^']*'|\S+`)

// runMigrationScript beside a cluster of those objects, with a kubectl that
// answers what the script may ask, and nothing else.
func runMigrationScript(t *testing.T, objects []object) (lines []printedLine, warnings string) {
	t.Helper()

	var answers strings.Builder
	answer := func(question, text string) { fmt.Fprintf(&answers, "%q) printf %q ;;\n", question, text) }
	for group, resource := range map[string]string{
		operatorGroup: "dittoservers", "monitoring.coreos.com": "servicemonitors", "pgv2.percona.com": "perconapgclusters",
	} {
		answer(fmt.Sprintf("api-resources --api-group=%s -o name", group), resource+"."+group+"\n")
	}
	var policies string
	for _, o := range objects {
		kind, name, owner := kubectlResource(o), textAt(o, "metadata", "name"), ""
		for _, ref := range listAt(o, "metadata", "ownerReferences") {
			if at(ref, "controller") == true {
				owner = strings.Join([]string{textAt(ref, "apiVersion"), textAt(ref, "kind"), textAt(ref, "name")}, " ")
			}
		}
		get := fmt.Sprintf("-n %s get %s %s --ignore-not-found -o jsonpath=", teamNamespace, kind, name)
		answer(get+`{.metadata.name}{" "}{range .metadata.ownerReferences[?(@.controller==true)]}{.apiVersion}{" "}{.kind}{" "}{.name}{end}`, name+" "+owner)
		var ports string
		for _, p := range listAt(o, "spec", "ports") {
			ports += textAt(p, "name") + "\n"
		}
		answer(get+`{range .spec.ports[*]}{.name}{"\n"}{end}`, ports)
		if textAt(o, "metadata", "labels", "dittofs.io/adapter-networkpolicy") == "true" {
			policies += "networkpolicy.networking.k8s.io/" + name + "\n"
		}
	}
	answer(fmt.Sprintf("-n %s get networkpolicy -l dittofs.io/adapter-networkpolicy=true,instance=%s -o name", teamNamespace, serverName), policies)

	dir := t.TempDir()
	// What is asked for by name and is not there is answered with nothing.
	kubectl := "#!/usr/bin/env bash\ncase \"$*\" in\n" + answers.String() +
		"\"-n " + teamNamespace + " get \"*\" --ignore-not-found -o \"*) ;;\n*) echo \"not to be run: kubectl $*\" >&2; exit 1 ;;\nesac\n"
	if err := os.WriteFile(filepath.Join(dir, "kubectl"), []byte(kubectl), 0o700); err != nil {
		t.Fatal(err)
	}

	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join("docs", "migration.sh"), teamNamespace, serverName)
	cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("docs/migration.sh: %v\n%s", err, problems.String())
	}

	for text := range strings.Lines(out.String()) {
		command, off := strings.CutPrefix(strings.TrimSpace(text), "# ")
		if !strings.HasPrefix(command, "kubectl ") {
			continue
		}
		l := printedLine{text: command, off: off}
		for _, word := range printedWord.FindAllString(command, -1) {
			l.args = append(l.args, strings.ReplaceAll(word, "'", ""))
		}
		if !slices.Equal(l.args[:3], []string{"kubectl", "-n", teamNamespace}) {
			t.Errorf("the script prints a line for another namespace: %s", command)
		}
		lines = append(lines, l)
	}

	return lines, problems.String()
}

// kubectlResource of an object, as the script calls it.
func kubectlResource(o object) string {
	group, _, grouped := strings.Cut(textAt(o, "apiVersion"), "/")
	switch {
	case !grouped:
		return strings.ToLower(textAt(o, "kind"))
	case group == operatorGroup:
		return "dittoservers." + group
	}

	return strings.ToLower(textAt(o, "kind")) + "." + group
}

// verb of the line, and what it is about.
func (p printedLine) verb() string { return p.args[3] }

// followLines of a verb that are in use: do is called with an object's
// resource, its name and the rest of the words.
func followLines(lines []printedLine, verb string, do func(resource, name string, words []string)) {
	for _, l := range lines {
		if l.off || l.verb() != verb {
			continue
		}
		words := slices.DeleteFunc(slices.Clone(l.args[4:]), func(w string) bool { return w == "--overwrite" })
		if resource, name, ok := strings.Cut(words[0], "/"); ok {
			words = append([]string{resource, name}, words[1:]...)
		}
		do(words[0], words[1], words[2:])
	}
}

// annotateAs writes to an object as a line says.
func annotateAs(o object, words []string) {
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		setField(o, v, "metadata", "annotations", k)
	}
}

// applyJSONPatch to an object as a line says: test, replace and remove.
func applyJSONPatch(o object, words []string) error {
	var ops []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if words[0] != "--type=json" {
		return errors.New("no JSON patch: " + words[0])
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(words[1], "-p=")), &ops); err != nil {
		return fmt.Errorf("%s: %w", words[1], err)
	}
	for _, op := range ops {
		path := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
		parent, last := at(o, path[:len(path)-1]...), path[len(path)-1]
		list, isList := parent.([]any)
		i, _ := strconv.Atoi(last)
		switch {
		case op.Op == "test" && !cmp.Equal(op.Value, at(o, path...)):
			return fmt.Errorf("%s is %v, not %v", op.Path, at(o, path...), op.Value)
		case op.Op == "replace":
			setField(o, op.Value, path...)
		case op.Op == "remove" && isList:
			setField(o, slices.Delete(list, i, i+1), path[:len(path)-1]...)
		case op.Op == "remove":
			setField(o, nil, path...)
		}
	}

	return nil
}

// handOver the objects as the script says, and as deleting the operator's
// DittoServer leaves them.
func (o operatorServer) handOver(t *testing.T) operatorServer {
	t.Helper()

	lines, _ := runMigrationScript(t, append(slices.Clone(o.objects), o.owner))
	after := operatorServer{owner: o.owner}
	for _, obj := range o.objects {
		obj = orphanedObject(obj)
		followLines(lines, "annotate", func(resource, name string, words []string) {
			if resource == kubectlResource(obj) && name == textAt(obj, "metadata", "name") {
				annotateAs(obj, words)
			}
		})
		after.objects = append(after.objects, obj)
	}

	return after
}

// Tests.

func TestMigrationNeedsConsent(t *testing.T) {
	cases := map[string]struct {
		reason string
		with   func(t *testing.T, o operatorServer) operatorServer
	}{
		"Controlled": {"The operator still controls them.", func(_ *testing.T, o operatorServer) operatorServer { return o }},
		"Orphaned": {"Nobody gave them to this server.", func(_ *testing.T, o operatorServer) operatorServer {
			out := operatorServer{owner: o.owner}
			for _, obj := range o.objects {
				out.objects = append(out.objects, orphanedObject(obj))
			}

			return out
		}},
		"AnnotatedAndControlled": {"They are given to this server, and the operator has not let go.", func(t *testing.T, o operatorServer) operatorServer {
			t.Helper()
			out := o.handOver(t)
			for i := range out.objects {
				setField(out.objects[i], at(o.objects[i], "metadata", "ownerReferences"), "metadata", "ownerReferences")
			}

			return out
		}},
	}
	for which, o := range operatorServers(t) {
		for name, tc := range cases {
			t.Run(which+"/"+name, func(t *testing.T) {
				s := tc.with(t, o).situation()
				before := s.clone().objects
				rsp := s.reconcile(t)

				for _, k := range operatorKeys(which) {
					// What is optional is asked for in the second round.
					if optional := k == string(server.KeyCluster) || k == string(server.KeyServiceMonitor); !optional && !namesObject(fatal(rsp), k) {
						t.Errorf("%s\nThe Fatal does not name %s: %s", tc.reason, k, fatal(rsp))
					}
				}
				if got := conditionOf(rsp, condition.TypeConfigReady); got != "False NameTaken" {
					t.Errorf("%s\nConfigReady: got %s", tc.reason, got)
				}
				if keys := composedKeys(rsp); len(keys) > 0 {
					t.Errorf("%s\nComposed: %v", tc.reason, keys)
				}
				if diff := cmp.Diff(before, s.objects); diff != "" {
					t.Errorf("%s\nSomething was touched, -before, +after:\n%s", tc.reason, diff)
				}
			})
		}
	}
}

// namesObject tells whether a message names the object of a key.
func namesObject(message, key string) bool {
	id := (&server.Server{Name: serverName}).Identity(server.Key(key))

	return id.Name != "" && strings.Contains(message, id.Kind+" "+id.Name+" in namespace "+teamNamespace)
}

func TestMigrationNeedsConsentForEach(t *testing.T) {
	for which, o := range operatorServers(t) {
		given := o.handOver(t)
		for _, k := range operatorKeys(which) {
			t.Run(which+"/"+k, func(t *testing.T) {
				s := given.situation()
				id := idOfKey(server.Key(k))
				setField(s.objects[id], nil, "metadata", "annotations", server.AnnotationAdopt)
				before := s.clone().objects
				rsp := s.reconcile(t)

				if !namesObject(fatal(rsp), k) || conditionOf(rsp, condition.TypeConfigReady) != "False NameTaken" {
					t.Errorf("All were given to this server but one. Want a Fatal that names it, got: %s", fatal(rsp))
				}
				for _, other := range operatorKeys(which) {
					if other != k && namesObject(fatal(rsp), other) {
						t.Errorf("The Fatal names %s, which was given: %s", other, fatal(rsp))
					}
				}
				if diff := cmp.Diff(before, s.objects); diff != "" {
					t.Errorf("Something was touched, -before, +after:\n%s", diff)
				}
			})
		}
	}
}

func TestMigrationTakesOver(t *testing.T) {
	cases := map[string]struct {
		reason string
		server string
		edits  []any
		// database that the pod runs on, as its annotation tells; empty for a
		// pod that is kept as the operator made it.
		database string
		ready    string
		restarts int
	}{
		"SQLite":   {"The server keeps its file.", "sqlite", nil, "sqlite:/data/controlplane/controlplane.db", "True Embedded", 1},
		"External": {"The server keeps its PostgreSQL.", "external", nil, "external:files-db", "True External", 1},
		"Percona":  {"The operator's server runs on SQLite whatever it says, and is not moved to an empty database.", "percona", nil, "", "False DatabaseChangeRefused", 0},
		"PerconaAllowed": {
			"The person who owns it allowed the empty database.", "percona",
			[]any{"spec.database.allowChangeTo", "percona"},
			"percona:files-postgres/dittofs", "True PerconaReady", 1,
		},
		"PerconaOff": {
			"The server stays on the SQLite that it runs on.", "percona",
			[]any{"spec.percona.enabled", false},
			"sqlite:/data/controlplane/controlplane.db", "True Embedded", 1,
		},
		"ImageLeftOut": {"What runs goes on running (R24).", "sqlite", []any{"spec.image", nil}, "sqlite:/data/controlplane/controlplane.db", "True Embedded", 1},
		"ExternalAsSQLite": {
			"The operator follows the reference whatever the type says, and the server is not moved off it.", "external",
			[]any{"spec.database.postgresSecretRef", nil, "spec.database.type", "sqlite"},
			"", "False DatabaseChangeRefused", 0,
		},
	}
	servers := operatorServers(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			given := servers[tc.server].handOver(t)
			s := given.situation(tc.edits...)
			before := s.clone()
			live := before.get(server.KeyStatefulSet)

			restarts := 0
			for range 6 {
				was := clone(s.get(server.KeyStatefulSet))
				rsp := s.reconcile(t)
				if text := fatal(rsp); text != "" {
					t.Fatalf("%s\nFatal: %s", tc.reason, text)
				}
				if sent := composed(rsp, server.KeyStatefulSet); sent != nil && rolls(was, sent) != "" {
					restarts++
				}
				for _, field := range []string{"volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"} {
					want, got := stripNulls(at(live, "spec", field)), at(composed(rsp, server.KeyStatefulSet), "spec", field)
					for _, c := range listAt(want) {
						setField(c, nil, "status")
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s\n%s, which cannot change, -live, +sent:\n%s", tc.reason, field, diff)
					}
				}
			}
			if restarts != tc.restarts {
				t.Errorf("%s\nThe pod restarts %d times, want %d.", tc.reason, restarts, tc.restarts)
			}
			rsp := s.rest(t)
			if got := conditionOf(rsp, condition.TypeDatabaseReady); got != tc.ready {
				t.Errorf("%s\nDatabaseReady: got %s, want %s: %s", tc.reason, got, tc.ready, messageOf(rsp, condition.TypeDatabaseReady))
			}

			// The database.
			template := podTemplate(s.get(server.KeyStatefulSet))
			if got := textAt(template, "metadata", "annotations", server.AnnotationDatabase); got != tc.database {
				t.Errorf("%s\nThe pod runs on %q, want %q.", tc.reason, got, tc.database)
			}
			if got, want := textAt(template, "spec", "containers", "name=dittofs", "image"), "marmos91c/dittofs:v0.29.0"; got != want {
				t.Errorf("%s\nThe image is %s, it was %s.", tc.reason, got, want)
			}
			if tc.database == "" {
				if diff := sameTemplate(live, s.get(server.KeyStatefulSet)); diff != "" {
					t.Errorf("%s\nThe pod is to be kept, -before, +after:\n%s", tc.reason, diff)
				}
				if diff := cmp.Diff(at(before.get(server.KeyConfig), "data"), at(s.get(server.KeyConfig), "data")); diff != "" {
					t.Errorf("%s\nThe file is to be kept, -before, +after:\n%s", tc.reason, diff)
				}
			}
			if diff := cmp.Diff(at(before.get(server.KeyCluster), "spec"), at(s.get(server.KeyCluster), "spec")); diff != "" {
				t.Errorf("%s\nThe PerconaPGCluster's spec, -before, +after:\n%s", tc.reason, diff)
			}

			// The secrets, and everything that is not the function's.
			for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials} {
				for where, got := range map[string]object{"sent": composed(rsp, k), "live": s.get(k)} {
					if diff := cmp.Diff(mapAt(before.get(k), "data"), mapAt(got, "data")); diff != "" {
						t.Errorf("%s\n%s, -before, +%s:\n%s", tc.reason, k, where, diff)
					}
				}
			}
			given.checkUntouched(t, before, s)
		})
	}
}

// checkUntouched tells that whatever was there is there, as the same object,
// and that only what is composed was written to.
func (o operatorServer) checkUntouched(t *testing.T, before, after *situation) {
	t.Helper()

	ours := slices.Collect(maps.Values(after.composed))
	claims := 0
	for id, was := range before.objects {
		is := after.objects[id]
		if textAt(was, "metadata", "uid") != textAt(is, "metadata", "uid") {
			t.Errorf("%s is gone, or another one.", id)
		}
		if textAt(was, "kind") == "PersistentVolumeClaim" {
			claims++
		}
		if slices.Contains(ours, id) {
			continue
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("%s is not the function's, -before, +after:\n%s", id, diff)
		}
	}
	if want := len(listAt(o.find("StatefulSet", serverName), "spec", "volumeClaimTemplates")); claims != want {
		t.Errorf("There are %d claims, want %d.", claims, want)
	}
}

func TestMigrationScript(t *testing.T) {
	for which, o := range operatorServers(t) {
		t.Run(which, func(t *testing.T) {
			all := append(slices.Clone(o.objects), o.owner)
			lines, warnings := runMigrationScript(t, all)
			if warnings != "" {
				t.Errorf("The script warns: %s", warnings)
			}

			// The objects that are handed over are those that are composed.
			var keys []string
			followLines(lines, "annotate", func(resource, name string, words []string) {
				given := object{}
				annotateAs(given, words)
				key := textAt(given, "metadata", "annotations", server.AnnotationKey)
				keys = append(keys, key)
				id := (&server.Server{Name: serverName}).Identity(server.Key(key))
				want := []any{kubectlResource(object{"apiVersion": id.APIVersion, "kind": id.Kind}), id.Name, object{server.AnnotationKey: key, server.AnnotationAdopt: serverName}}
				if diff := cmp.Diff(want, []any{resource, name, mapAt(given, "metadata", "annotations")}); diff != "" {
					t.Errorf("%s: -composed, +annotated:\n%s", key, diff)
				}
			})
			slices.Sort(keys)
			if diff := cmp.Diff(operatorKeys(which), keys); diff != "" {
				t.Errorf("-want, +annotated:\n%s", diff)
			}

			// The operator's DittoServer loses its finalizer, then goes alone.
			owner := clone(o.owner)
			followLines(lines, "patch", func(resource, _ string, words []string) {
				if resource != kubectlResource(owner) {
					return
				}
				if err := applyJSONPatch(owner, words); err != nil {
					t.Error(err)
				}
			})
			if left := listAt(owner, "metadata", "finalizers"); len(left) > 0 {
				t.Errorf("Finalizers are left: %v", left)
			}
			steps := []string{"annotate", "patch statefulset.apps", "patch " + kubectlResource(owner), "delete " + kubectlResource(owner)}
			order := []string{}
			for _, l := range lines {
				what := l.verb() + " " + l.args[4]
				if l.verb() == "annotate" {
					what = l.verb()
				}
				if !l.off && (len(order) == 0 || order[len(order)-1] != what) {
					order = append(order, what)
				}
			}
			if diff := cmp.Diff(steps, order); diff != "" {
				t.Errorf("In this order, -want, +got:\n%s", diff)
			}
			if i := slices.IndexFunc(lines, func(l printedLine) bool { return !l.off && l.verb() == "delete" }); !slices.Contains(lines[i].args, "--cascade=orphan") {
				t.Errorf("It takes everything along: %s", lines[i].text)
			}

			// What is left is removed when the new server has taken over, and
			// not before.
			s := o.handOver(t).situation()
			s.rest(t)
			after := slices.Collect(maps.Values(s.objects))
			done, warnings := runMigrationScript(t, after)
			if warnings != "" {
				t.Errorf("The script warns: %s", warnings)
			}
			var gone []string
			followLines(done, "delete", func(resource, name string, _ []string) { gone = append(gone, resource+"/"+name) })
			slices.Sort(gone)
			want := []string{"networkpolicy.networking.k8s.io/files-adapter-nfs", "networkpolicy.networking.k8s.io/files-adapter-smb", "secret/files-operator-credentials"}
			if diff := cmp.Diff(want, gone); diff != "" {
				t.Errorf("Leftovers, -want, +got:\n%s", diff)
			}
			followLines(done, "annotate", func(resource, name string, _ []string) { t.Errorf("%s %s is to be handed over twice.", resource, name) })
			off := slices.DeleteFunc(slices.Clone(lines), func(l printedLine) bool { return !l.off })
			for _, l := range off {
				if l.verb() != "delete" && l.args[4] != "service" {
					t.Errorf("It is commented out: %s", l.text)
				}
			}
			if len(off) != 5 {
				t.Errorf("Before the server is taken over, 5 lines are commented out, got %d.", len(off))
			}
		})
	}

	t.Run("Others", func(t *testing.T) {
		o := operatorServers(t)["external"]
		// Somebody has a Service of a name that is composed, and the
		// ConfigMap lost its owner.
		other := edit(clone(o.find("Service", "files-api")), "metadata.ownerReferences", []any{object{"apiVersion": "apps/v1", "kind": "Deployment", "name": "other", "uid": "1", "controller": true}})
		objects := slices.DeleteFunc(slices.Clone(o.objects), func(o object) bool { return textAt(o, "metadata", "name") == "files-api" })
		lines, warnings := runMigrationScript(t, append(objects, other, o.owner))
		if want := "service files-api is controlled by apps/v1 Deployment other"; !strings.Contains(warnings, want) {
			t.Errorf("The script does not warn of %q: %s", want, warnings)
		}
		followLines(lines, "annotate", func(_, name string, _ []string) {
			if name == "files-api" {
				t.Error("What is somebody else's is handed over.")
			}
		})
	})
	t.Run("Usage", func(t *testing.T) {
		for _, args := range [][]string{{}, {"team-a"}, {"team-a", "files", "x"}, {"team-a", "files; true"}, {"", "files"}, {"team-a", "-A"}} {
			err := exec.CommandContext(t.Context(), "bash", append([]string{filepath.Join("docs", "migration.sh")}, args...)...).Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("%q: want exit code 2, got %v", args, err)
			}
		}
	})
}

// TestMigrationByServerSideApply takes the servers over with real server-side
// apply: what the operator's own field manager wrote stays in force until
// somebody removes it.
func TestMigrationByServerSideApply(t *testing.T) {
	house, servers := newTheatre(t), operatorServers(t)
	cases := map[string]struct {
		reason string
		server string
		edits  []any
		// skip the line that clears the StatefulSet's managedFields.
		skip bool
		// left are the operator's variables, ports and init containers in the
		// pod.
		left []string
	}{
		"SQLite":         {"Nothing of the operator's pod is left.", "sqlite", nil, false, nil},
		"External":       {"Nothing of the operator's pod is left.", "external", nil, false, nil},
		"PerconaAllowed": {"Nothing of the operator's pod is left.", "percona", []any{"spec.database.allowChangeTo", "percona"}, false, nil},
		"PerconaOff":     {"A server on SQLite does not wait for PostgreSQL.", "percona", []any{"spec.percona.enabled", false}, false, nil},
		"PerconaOffSkipped": {"Without the line the operator's fields stay for good.", "percona", []any{"spec.percona.enabled", false}, true, []string{
			"DATABASE_URL", "adapter-mdns", "adapter-nfs", "adapter-nfs-pm", "adapter-pm-udp", "adapter-smb", "adapter-wsd", "adapter-wsdmeta", "wait-for-postgres",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := servers[tc.server]
			s := &stage{World: house.modern.Clone(), recorder: &recorder{}, tb: t}
			s.Crossplane.Function = s.recorder
			s.must(s.Server.Serve(world.GVKCluster))
			lines, _ := runMigrationScript(t, append(slices.Clone(o.objects), o.owner))
			for _, obj := range o.objects {
				s.createAsOperator(t, obj, lines, tc.skip)
			}
			spec := mapAt(o.successor(tc.edits...), "spec")
			// The model's API server does not know the kind ServiceMonitor.
			delete(mapAt(spec, "metrics"), "serviceMonitor")
			cluster, claim := s.cluster(), s.Server.Find(s.Key("v1", "PersistentVolumeClaim", "metadata-files-0"))
			s.must(s.CreateXR(spec))
			for range 6 {
				s.upgradeFieldManagers()
				s.reconcile()
				if _, err := world.StepStatefulSet(s.Server, s.key(server.KeyStatefulSet)); err != nil {
					t.Fatal(err)
				}
			}
			for _, w := range s.refused {
				t.Errorf("%s\nThe API server refused to %s %s: %v", tc.reason, w.Verb, w.Name, w.Err)
			}

			var left []string
			live, sent := s.find(server.KeyStatefulSet).Content(), composed(s.calls[len(s.calls)-1].Response, server.KeyStatefulSet)
			for _, path := range [][]string{{"containers", "name=dittofs", "env"}, {"containers", "name=dittofs", "ports"}, {"initContainers"}} {
				path = append([]string{"spec"}, path...)
				wanted := itemNames(listAt(podTemplate(sent), path...))
				left = append(left, slices.DeleteFunc(itemNames(listAt(podTemplate(live), path...)), func(n string) bool { return slices.Contains(wanted, n) })...)
			}
			if diff := cmp.Diff(tc.left, left); diff != "" {
				t.Errorf("%s\nLeft in the pod: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(cluster.Value("spec"), s.cluster().Value("spec")); diff != "" {
				t.Errorf("%s\nThe PerconaPGCluster's spec, -before, +after:\n%s", tc.reason, diff)
			}
			if claim == nil || claim != s.Server.Find(claim.Key()) {
				t.Errorf("%s\nThe claim was written to.", tc.reason)
			}

			// The Services serve both, until the operator's ports are removed.
			svc := s.find(server.KeyNFSService).Content()
			if diff := cmp.Diff([]string{"adapter-nfs", "portmap", "portmap-udp", "adapter-nfs-udp", "mdns", "nfs"}, itemNames(listAt(svc, "spec", "ports"))); diff != "" {
				t.Errorf("%s\nPorts of the Service: -want, +got:\n%s", tc.reason, diff)
			}
			var after []object
			for _, k := range s.Server.Keys() {
				after = append(after, s.Server.Find(k).Content())
			}
			done, _ := runMigrationScript(t, after)
			followLines(done, "patch", func(resource, name string, words []string) {
				s.edit(s.Key("v1", "Service", name), func(content map[string]any) {
					if err := applyJSONPatch(content, words); err != nil || resource != "service" {
						t.Errorf("%s %s: %v", resource, name, err)
					}
				})
			})
			s.reconcile()
			for k, want := range map[server.Key]string{server.KeyNFSService: "nfs", server.KeySMBService: "smb"} {
				if diff := cmp.Diff([]string{want}, itemNames(listAt(s.find(k).Content(), "spec", "ports"))); diff != "" {
					t.Errorf("%s\n%s: -want, +got:\n%s", tc.reason, k, diff)
				}
			}
		})
	}
}

// createAsOperator makes an object as the operator did, and then hands it over
// as the script says.
func (s *stage) createAsOperator(t *testing.T, o object, lines []printedLine, skip bool) {
	t.Helper()
	if textAt(o, "kind") == "ServiceMonitor" {
		return
	}
	o, _ = stripNulls(orphanedObject(o)).(object)
	status := at(o, "status")
	edit(o, "metadata.managedFields", nil, "metadata.resourceVersion", nil)
	made, err := s.Server.Update(o, "manager")
	s.must(err)
	if status != nil {
		s.must(s.Server.EditStatus(made.Key(), "other", func(content map[string]any) { content["status"] = status }))
	}
	followLines(lines, "annotate", func(resource, name string, words []string) {
		if resource == kubectlResource(o) && name == made.Key().Name {
			s.edit(made.Key(), func(content map[string]any) { annotateAs(content, words) })
		}
	})
	followLines(lines, "patch", func(resource, name string, words []string) {
		if resource == kubectlResource(o) && name == made.Key().Name && !skip {
			s.edit(made.Key(), func(content map[string]any) { s.must(applyJSONPatch(content, words)) })
		}
	})
}

// upgradeFieldManagers as Crossplane does before it applies: who wrote an
// object before its first apply is forgotten with the second (crossplane
// v2.4.0 internal/ssa/managed_fields.go).
func (s *stage) upgradeFieldManagers() {
	for _, k := range s.Server.Keys() {
		managers := listAt(s.Server.Find(k).Content(), "metadata", "managedFields")
		applied := slices.ContainsFunc(managers, func(m any) bool {
			return strings.HasPrefix(textAt(m, "manager"), "apiextensions.crossplane.io/composed/")
		})
		left := slices.DeleteFunc(slices.Clone(managers), func(m any) bool { return textAt(m, "manager") == "before-first-apply" })
		if applied && len(left) < len(managers) {
			s.edit(k, func(content map[string]any) { setField(content, left, "metadata", "managedFields") })
		}
	}
}

// itemNames of a list of named items.
func itemNames(list []any) []string {
	var names []string
	for _, v := range list {
		names = append(names, textAt(v, "name"))
	}

	return names
}

// The operator's DittoServer has our kind and name, in another group: it does
// not go by itself.
func TestMigrationSaysWhoHasToLetGo(t *testing.T) {
	for which, o := range operatorServers(t) {
		text := fatal(o.situation().response(t))
		if strings.Contains(text, "wait a moment") || !strings.Contains(text, "--cascade=orphan") {
			t.Errorf("%s: the Fatal does not say that the operator's DittoServer has to be deleted with --cascade=orphan: %s", which, text)
		}
	}
}
