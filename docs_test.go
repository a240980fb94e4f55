package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const featuresPath = "docs/features.md"

// A featureRow is one of docs/features.md: what the DittoFS operator does, what
// the function does instead, and what shows it.
type featureRow struct {
	line                              int
	section, id, theirs, ours, showed string
}

// features of the document, in its order.
func features(t *testing.T) []featureRow {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(featuresPath))
	if err != nil {
		t.Fatal(err)
	}

	var rows []featureRow
	section, header := "", true
	for i, line := range strings.Split(string(text), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if !strings.HasPrefix(line, "|") {
			header = true

			continue
		}
		cells := cellsOf(line)
		if header || strings.Trim(line, "|-") == "" {
			// The first line of a table, and the one that rules it off.
			header = false

			continue
		}
		if len(cells) != 4 {
			t.Errorf("%s:%d: a row has 4 cells, not %d", featuresPath, i+1, len(cells))

			continue
		}
		rows = append(rows, featureRow{i + 1, section, strings.ReplaceAll(cells[0], "`", ""), cells[1], cells[2], cells[3]})
	}

	return rows
}

// cellsOf a row, in which \| is no border.
func cellsOf(line string) []string {
	const bar = "\x00"
	line = strings.Trim(strings.ReplaceAll(line, `\|`, bar), "|")
	var cells []string
	for cell := range strings.SplitSeq(line, "|") {
		cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, bar, "|")))
	}

	return cells
}

// operatorFeatures are all that there is of the DittoFS operator v0.29.0: its
// defects, and what its types, its reconcilers and its webhook are made of. What
// comes after a bar are words that the row has to speak of.
func operatorFeatures() map[string][]string {
	var defects []string
	for i := range 27 {
		defects = append(defects, "C"+strconv.Itoa(i+1))
	}

	return map[string][]string{
		"Defects": defects,
		"Spec": {
			"image", "replicas",
			"storage.metadataSize", "storage.contentSize", "storage.controlPlaneSize", "storage.storageClassName",
			"database.type", "database.sqlite.path", "database.postgresSecretRef|key host database user password port sslmode",
			"controlPlane.port", "controlPlane.tls", "controlPlane.certSecretName", "controlPlane.clientCASecretName",
			"identity.type", "identity.jwt.secretRef", "identity.jwt|accessTokenDuration refreshTokenDuration",
			"identity.admin.username", "identity.admin.passwordSecretRef",
			"identity.ldap|enabled url startTLS allowPlaintext baseDN bindDN bindPasswordSecretRef userAttr realm idmap nestedGroups caCertFile insecureSkipVerify",
			"identity.kerberos|enabled servicePrincipal realm netbiosDomain dnsDomain keytabSecretRef krb5ConfSecretRef krb5Conf",
			"identity.kerberos.machineAccount|enabled accountName secretRef keytabSecretRef dcAddress",
			"adapterDiscovery.pollingInterval", "adapterServices|type annotations", "service|type annotations",
			"metrics|enabled port path bearerTokenSecret", "metrics.serviceMonitor|enabled interval labels",
			"logging|level format output",
			"percona.enabled", "percona.deleteWithServer", "percona.replicas", "percona.storageSize", "percona.storageClassName", "percona.databaseName",
			"percona.backup|enabled credentialsSecretRef bucket endpoint region fullSchedule incrSchedule retentionDays",
			"snapshotPolicies|share interval keepLast ttl enabled namePrefix",
			"resources", "terminationGracePeriodSeconds", "securityContext", "podSecurityContext",
			"Not offered|nodeSelector tolerations affinity topologySpreadConstraints priorityClassName imagePullSecrets imagePullPolicy serviceAccountName " +
				"labels annotations extraEnv extraVolumes PodDisruptionBudget updateStrategy podManagementPolicy blockstore gc metadata snapshot machine_sid images resources parameters",
		},
		"Objects": {
			"Labels", "Secret <n>-jwt-secret", "Secret <n>-admin-bootstrap-credentials", "Secret <n>-operator-credentials", "ConfigMap <n>-config",
			"Service <n>-headless", "Service <n>-api", "Service <n>-metrics", "ServiceMonitor <n>-metrics", "Service <n>-adapter-<type>",
			"NetworkPolicy <n>-baseline", "NetworkPolicy <n>-adapter-<type>", "PerconaPGCluster <n>-postgres", "StatefulSet <n>",
		},
		"Pod": {
			"Command", "Annotation dittofs.io/config-hash", "automountServiceAccountToken", "Security contexts", "preStop and grace period",
			"Startup probe", "Liveness probe", "Readiness probe", "Probes over TLS",
			"Volumes controlplane, metadata", "Volume content", "Volume config", "Volumes tls-cert, tls-client-ca", "Volume metrics-token",
			"Volumes kerberos-keytab, kerberos-krb5, kerberos-machine-keytab",
			"DITTOFS_CONTROLPLANE_SECRET", "DITTOFS_ADMIN_INITIAL_PASSWORD", "DITTOFS_LDAP_BIND_PASSWORD", "DITTOFS_KERBEROS_MACHINE_ACCOUNT_SECRET",
			"DITTOFS_DATABASE_POSTGRES_*|HOST DATABASE USER PASSWORD PORT SSLMODE", "DATABASE_URL", "Init container wait-for-postgres",
		},
		"Status and conditions": {
			"status.observedGeneration", "status.replicas|readyReplicas availableReplicas", "status.phase", "status.configHash", "status.perconaClusterName",
			"ConfigReady", "DatabaseReady", "Available", "Progressing", "Authenticated", "Ready",
		},
		"Events": {
			"Created", "ReconcileFailed", "PerconaNotReady", "AuthFailed", "Deleting", "CleanupTimeout", "PerconaDeleted", "PerconaOrphaned",
			"AuthAPIUnreachable", "AuthProvisioned", "AdminBootstrapUnauthorized, AdminCredentialUnauthorized",
			"AdapterServiceCreated, AdapterServiceUpdated, AdapterServiceDeleted", "ContainerPortsUpdated", "AdapterServiceFailed, NetworkPolicyFailed",
			"AdapterNetworkPolicyCreated, AdapterNetworkPolicyUpdated, AdapterNetworkPolicyDeleted", "SnapshotPolicyFailed", "ConfigConflict",
		},
		"Admission checks": {
			"The webhook itself", "metadataSize is empty", "JWT reference without a key", "Port out of range", "Client CA without a certificate",
			"Kerberos without a principal", "Kerberos without a keytab", "Keytab without a key", "krb5.conf without a key",
			"Machine account without a name", "Machine account without a credential", "Machine account's credential without a key",
			"StorageClass is missing", "Percona's CRD is missing", "Backup without a bucket", "Backup without an endpoint",
			"Warning: PostgreSQL Secret with type sqlite", "Warning: certSecretName with tls false", "Warning: port below 1024",
			"Warning: StorageClass not verifiable", "Warning: Percona and a PostgreSQL Secret",
			"Warning: backup without credentials", "Warning: credentials Secret is missing",
		},
		"At run time": {
			"Login to the server", "Token refresh", "Retries", "Adapter discovery", "Ports of adapter Services", "Container ports", "Portmapper",
			"Snapshot policies", "Hash: what is in it", "Hash: what is not in it", "Deletion: finalizer and time limit", "Deletion: the database",
			"Deletion: the operator's user",
		},
	}
}

// TestDocsFeaturesAreAll holds the document to the list: every feature has a
// row, and no row is about something else.
func TestDocsFeaturesAreAll(t *testing.T) {
	rows := map[string]featureRow{}
	want, got := map[string][]string{}, map[string][]string{}
	for _, r := range features(t) {
		rows[r.section+"/"+r.id] = r
		got[r.section] = append(got[r.section], r.id)
	}
	for section, entries := range operatorFeatures() {
		for _, entry := range entries {
			id, words, _ := strings.Cut(entry, "|")
			want[section] = append(want[section], id)
			r, found := rows[section+"/"+id]
			for word := range strings.FieldsSeq(words) {
				spoken := regexp.MustCompile(`(^|[^A-Za-z])` + regexp.QuoteMeta(word) + `([^A-Za-z]|$)`)
				if found && !spoken.MatchString(r.theirs+" "+r.ours) {
					t.Errorf("%s:%d: the row of %s does not speak of %s", featuresPath, r.line, id, word)
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: -want, +got:\n%s", featuresPath, diff)
	}
}

// TestDocsFeaturesAreShown holds each row to what it claims: it says what the
// operator and the function do, and names tests that exist, or says why there
// is none.
func TestDocsFeaturesAreShown(t *testing.T) {
	files := linkDefinitions(t, featuresPath)
	tests := map[string]*testFile{}
	for label, target := range files {
		if strings.HasSuffix(target, "_test.go") {
			tests[label] = readTestFile(t, path.Join(path.Dir(featuresPath), target))
		}
	}

	used := map[string]bool{}
	for _, r := range features(t) {
		where := fmt.Sprintf("%s:%d: %s", featuresPath, r.line, r.id)
		if r.theirs == "" || r.ours == "" || r.showed == "" {
			t.Errorf("%s: a cell is empty", where)
		}
		named, err := namedTests(r.showed)
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if reason, without := strings.CutPrefix(r.showed, "Not done: "); len(named) == 0 && (!without || len(strings.Fields(reason)) < 4) {
			t.Errorf(`%s: names no test, and no reason ("Not done: ...") why there is none: %s`, where, r.showed)
		}
		for _, n := range named {
			used[n.file] = true
			file := tests[n.file]
			if file == nil {
				t.Errorf("%s: no link leads to %s", where, n.file)

				continue
			}
			if err := file.has(n.test); err != nil {
				t.Errorf("%s: %s: %v", where, n.file, err)
			}
		}
	}
	for label := range tests {
		if !used[label] {
			t.Errorf("%s: no row names a test of %s", featuresPath, label)
		}
	}
}

// A namedTest is the name of a test, with its subtests, and the file it is in.
type namedTest struct{ test, file string }

// namedTests of a cell: `TestX/Sub`, `TestY` [file]; `TestZ` [file].
func namedTests(cell string) ([]namedTest, error) {
	var named []namedTest
	var open []string
	for _, m := range regexp.MustCompile("`(Test[^`]*)`|\\[([^]]*_test\\.go)\\]").FindAllStringSubmatch(cell, -1) {
		if m[1] != "" {
			open = append(open, m[1])

			continue
		}
		if len(open) == 0 {
			return nil, fmt.Errorf("no test is named before %s", m[2])
		}
		for _, name := range open {
			named = append(named, namedTest{name, m[2]})
		}
		open = nil
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("no file is named after %s", open)
	}

	return named, nil
}

// A testFile has test functions, and the names of cases.
type testFile struct{ functions, cases map[string]bool }

// has a test, and a case for each of its subtests.
func (f *testFile) has(name string) error {
	parts := strings.Split(name, "/")
	if !f.functions[parts[0]] {
		return fmt.Errorf("there is no func %s", parts[0])
	}
	for _, part := range parts[1:] {
		if !f.cases[part] {
			return fmt.Errorf("%s has no case %s", parts[0], part)
		}
	}

	return nil
}

// readTestFile parses a file of tests. Cases are the keys of tables, and what
// t.Run is called with, as go test prints them.
func readTestFile(t *testing.T, name string) *testFile {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.FromSlash(name), nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	f := &testFile{functions: map[string]bool{}, cases: map[string]bool{}}
	named := func(e ast.Expr) {
		ast.Inspect(e, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil {
				for part := range strings.SplitSeq(text, "/") {
					f.cases[strings.ReplaceAll(part, " ", "_")] = true
				}
			}

			return true
		})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil {
				f.functions[n.Name.Name] = true
			}
		case *ast.KeyValueExpr:
			if lit, ok := n.Key.(*ast.BasicLit); ok {
				named(lit)
			}
		case *ast.CallExpr:
			if run, ok := n.Fun.(*ast.SelectorExpr); ok && run.Sel.Name == "Run" && len(n.Args) == 2 {
				named(n.Args[0])
			}
		}

		return true
	})

	return f
}

// TestDocsLinks follows every link of every document in the repository: to a
// file of it, and to a heading in that. A link to somewhere else has to be a
// URL that a browser can take.
func TestDocsLinks(t *testing.T) {
	for _, name := range documents(t) {
		links := linksOf(t, name)
		if len(links) == 0 && name == featuresPath {
			t.Errorf("%s: no links are found", name)
		}
		for _, link := range links {
			if err := follow(t, name, link); err != nil {
				t.Errorf("%s: %s: %v", name, link, err)
			}
		}
	}
}

// TestDocsLinksAreHeld tells a link that is followed from one that leads
// nowhere.
func TestDocsLinksAreHeld(t *testing.T) {
	cases := map[string]struct {
		reason, from, link string
		broken             bool
	}{
		"File":      {reason: "A file beside the document.", from: featuresPath, link: "api.md"},
		"Folder":    {reason: "A folder.", from: "README.md", link: "example"},
		"Heading":   {reason: "A heading of another document.", from: "docs/conditions.md", link: "../README.md#install"},
		"Own":       {reason: "A heading of the same document.", from: "README.md", link: "#install"},
		"Elsewhere": {reason: "A URL.", from: "README.md", link: "https://crossplane.io/docs"},
		"NoFile":    {reason: "There is no such file.", from: "README.md", link: "docs/nothing.md", broken: true},
		"NoHeading": {reason: "There is no such heading.", from: "README.md", link: "docs/api.md#nothing", broken: true},
		"Outside":   {reason: "It leads out of the repository.", from: "README.md", link: "../other/README.md", broken: true},
		"Insecure":  {reason: "Nobody should be sent over plain HTTP.", from: "README.md", link: "http://crossplane.io", broken: true},
		"NoHost":    {reason: "A slash is missing.", from: "README.md", link: "https:/crossplane.io", broken: true},
		"NoDomain":  {reason: "It is no name on the internet.", from: "README.md", link: "https://crossplane", broken: true},
		"Misspelt":  {reason: "There is no such scheme.", from: "README.md", link: "htps://crossplane.io", broken: true},
		"Template":  {reason: "Something was to be filled in.", from: "README.md", link: "https://github.com/<owner>/x", broken: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := follow(t, tc.from, tc.link); (err != nil) != tc.broken {
				t.Errorf("%s\nfollow(%q, %q): %v, want broken %t", tc.reason, tc.from, tc.link, err, tc.broken)
			}
		})
	}
}

// TestDocsAreFound holds the README to leading to every document of docs/.
func TestDocsAreFound(t *testing.T) {
	linked := map[string]bool{}
	for _, link := range linksOf(t, "README.md") {
		file, _, _ := strings.Cut(link, "#")
		linked[file] = true
	}
	for _, name := range documents(t) {
		if path.Dir(name) == "docs" && !linked[name] {
			t.Errorf("README.md: no link leads to %s", name)
		}
	}
}

// TestDocsPicture holds the README's picture of a server's life to the one that
// is explained.
func TestDocsPicture(t *testing.T) {
	pictures := regexp.MustCompile("(?s)```mermaid\n.*?\n```\n")
	explained, err := os.ReadFile(filepath.Join("docs", "concepts.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := pictures.FindAllString(string(readme), -1)
	if len(shown) != 1 {
		t.Fatalf("README.md has %d pictures, want 1", len(shown))
	}
	if !slices.Contains(pictures.FindAllString(string(explained), -1), shown[0]) {
		t.Error("the picture in README.md is none of docs/concepts.md")
	}
}

// documents are all Markdown files of the repository, but for what is built.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "_output" || entry.Name() == ".git"):
			return fs.SkipDir
		case !entry.IsDir() && filepath.Ext(name) == ".md":
			names = append(names, filepath.ToSlash(name))
		}

		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", featuresPath, "example/README.md", "test/e2e/README.md"} {
		if !slices.Contains(names, name) {
			t.Fatalf("%s is not among the documents: %q", name, names)
		}
	}

	return names
}

// prose of a document: without its examples of code.
func prose(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}

	var out strings.Builder
	fence := ""
	for line := range strings.Lines(string(text)) {
		mark := regexp.MustCompile("^ *(```+|~~~+)").FindString(line)
		switch {
		case fence == "" && mark != "":
			fence = strings.TrimSpace(mark)
		case fence != "" && strings.HasPrefix(strings.TrimSpace(line), fence):
			fence = ""
		case fence == "":
			out.WriteString(line)
		}
	}

	return out.String()
}

var (
	codeSpan       = regexp.MustCompile("`[^`\n]*`")
	inlineLink     = regexp.MustCompile(`\]\(<?([^()\s>]+)>?(?:\s+"[^"]*")?\)`)
	linkDefinition = regexp.MustCompile(`(?m)^ {0,3}\[([^]]+)\]:\s*<?(\S+?)>?\s*$`)
)

// linksOf a document, without what is code.
func linksOf(t *testing.T, name string) []string {
	t.Helper()
	var links []string
	for _, m := range inlineLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(prose(t, name), ""), -1) {
		links = append(links, m[1])
	}

	return append(links, slices.Sorted(maps.Values(linkDefinitions(t, name)))...)
}

// linkDefinitions of a document, by label.
func linkDefinitions(t *testing.T, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range linkDefinition.FindAllStringSubmatch(prose(t, name), -1) {
		out[m[1]] = m[2]
	}

	return out
}

// follow a link from a document.
func follow(t *testing.T, from, link string) error {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	if u.Scheme != "" || u.Host != "" {
		return elsewhere(u)
	}

	target := from
	if u.Path != "" {
		target = path.Join(path.Dir(from), u.Path)
	}
	if !fs.ValidPath(target) {
		return fmt.Errorf("%s is outside of the repository", target)
	}
	if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
		return err
	}
	if u.Fragment != "" && !slices.Contains(anchorsOf(t, target), u.Fragment) {
		return fmt.Errorf("%s has no heading #%s", target, u.Fragment)
	}

	return nil
}

// elsewhere is a link that leads out of the repository. Whether there is
// something at its end changes with no change of ours, so nobody is asked.
func elsewhere(u *url.URL) error {
	if u.Scheme != "https" {
		return fmt.Errorf("the scheme is %q, want https", u.Scheme)
	}
	if !regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z]{2,}$`).MatchString(u.Host) {
		return fmt.Errorf("the host is %q, want a domain", u.Host)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9/._~%+@-]*$`).MatchString(u.Path) {
		return fmt.Errorf("the path %q has signs that nobody writes in one", u.Path)
	}

	return nil
}

// anchorsOf a document's headings, as GitHub makes them.
func anchorsOf(t *testing.T, name string) []string {
	t.Helper()
	var anchors []string
	seen := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*#*$`).FindAllStringSubmatch(prose(t, name), -1) {
		a := anchorOf(m[1])
		if n := seen[a]; n > 0 {
			anchors = append(anchors, a+"-"+strconv.Itoa(n))
		} else {
			anchors = append(anchors, a)
		}
		seen[a]++
	}

	return anchors
}

func anchorOf(heading string) string {
	heading = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(heading, "$1")
	heading = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`).ReplaceAllString(strings.ToLower(heading), "")

	return strings.ReplaceAll(heading, " ", "-")
}

func TestDocsAnchors(t *testing.T) {
	cases := map[string]struct{ reason, heading, want string }{
		"Words":   {"Words are joined.", "Good to know", "good-to-know"},
		"Code":    {"Marks are left out, and what they mark stays.", "The `<n>-api` Service", "the-n-api-service"},
		"Signs":   {"A sign between two spaces leaves both.", "Status & conditions", "status--conditions"},
		"Link":    {"Of a link its text stays.", "See [the API](api.md)", "see-the-api"},
		"Numbers": {"Numbers, dashes and underscores stay.", "2. A_b-c: d?", "2-a_b-c-d"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, anchorOf(tc.heading)); diff != "" {
				t.Errorf("%s\nanchorOf(%q): -want, +got:\n%s", tc.reason, tc.heading, diff)
			}
		})
	}
}
