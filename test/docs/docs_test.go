package docs

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func checker(t *testing.T) *Checker {
	t.Helper()
	c, err := NewChecker(root)
	if err != nil {
		t.Fatal(err)
	}

	return c
}

func documents(t *testing.T) []Document {
	t.Helper()
	all, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(d Document) bool { return d.Path == "README.md" && len(d.Blocks) > 0 }) {
		t.Fatal("the README is not among the documents, or has no examples")
	}

	return all
}

// TestDocsCommands checks every command and every manifest of the documents.
func TestDocsCommands(t *testing.T) {
	c := checker(t)
	for _, doc := range documents(t) {
		for _, b := range doc.Blocks {
			var err error
			switch b.Language {
			case "console", "sh", "bash":
				err = c.Script(b.Text)
			case "yaml":
				err = c.Manifests(b.Text)
			case "mermaid", "text", "go", "json":
				// Pictures, what a program printed, and code of other tests.
			default:
				t.Errorf("%s:%d: an example of what? Write console, yaml, text or mermaid, not %q", doc.Path, b.Line, b.Language)
			}
			if err != nil {
				t.Errorf("%s:%d: %v", doc.Path, b.Line, err)
			}
		}
	}
}

// theirs is about the DittoFS operator's fields, not ours.
const theirs = "docs/features.md"

// TestDocsProse checks the commands, the fields and the conditions that the
// prose speaks of.
func TestDocsProse(t *testing.T) {
	c := checker(t)
	programs := []string{"kubectl", "make", "dfsctl", "go", "crossplane", "velero"}
	for _, doc := range documents(t) {
		for _, s := range doc.Spans {
			var found []error
			if program, _, more := strings.Cut(s.Text, " "); more && slices.Contains(programs, program) {
				found = append(found, c.Line(s.Text))
			}
			if doc.Path != theirs {
				found = append(found, c.Field(s.Text), c.Condition(s.Text))
			}
			if err := errors.Join(found...); err != nil {
				t.Errorf("%s:%d: `%s`: %v", doc.Path, s.Line, s.Text, err)
			}
		}
	}
}

// TestDocsProseCatches tells a field and a condition that exist from ones that
// do not.
func TestDocsProseCatches(t *testing.T) {
	cases := map[string]struct{ reason, text, want string }{
		"Field":       {reason: "A field without spec.", text: "percona.updatePolicy: OnCreate"},
		"Whole":       {reason: "A field with spec.", text: "spec.percona.backup.bucket"},
		"Status":      {reason: "A field of the status.", text: "status.database.onDelete"},
		"Cluster":     {reason: "A field of a PerconaPGCluster.", text: "spec.backups.pgbackrest.global.repo1-path"},
		"Input":       {reason: "A field of the Input.", text: "policy.podSecurity"},
		"File":        {reason: "A file is no field.", text: "config.yaml"},
		"Misspelt":    {reason: "There is no such field.", text: "percona.updatepolicy", want: "no field percona.updatepolicy"},
		"Elsewhere":   {reason: "It is below another one.", text: "storage.storageSize", want: "no field storage.storageSize"},
		"NoStatus":    {reason: "The status has no such field.", text: "status.configHash", want: "no field status.configHash"},
		"Condition":   {reason: "A condition.", text: "DatabaseReady=False"},
		"Reason":      {reason: "A condition with its reason.", text: "ConfigReady=False NameTaken"},
		"NoCondition": {reason: "There is no such condition.", text: "DatabaseUptodate=False", want: "no condition DatabaseUptodate"},
		"NoReason":    {reason: "There is no such reason.", text: "ConfigReady=False NameInUse", want: "no reason NameInUse"},
	}
	c := checker(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := errors.Join(c.Field(tc.text), c.Condition(tc.text)); err != nil {
				got = err.Error()
			}
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%s\n%s\ngot: %q\nwant: %q", tc.reason, tc.text, got, tc.want)
			}
		})
	}
}

// TestDocsCatch breaks commands and manifests as people do, and tells that each
// is caught.
func TestDocsCatch(t *testing.T) {
	cases := map[string]struct{ reason, script, want string }{
		"Sound":           {reason: "Nothing is wrong with it.", script: "kubectl -n team-a get dittoservers.dittofs.io files -o yaml"},
		"Pipe":            {reason: "Nor with this.", script: "kubectl get secret files-connection -o jsonpath='{.data.password}' | base64 -d"},
		"Syntax":          {reason: "A quote is missing.", script: "kubectl get pods -o jsonpath='{.items}", want: "without closing quote"},
		"Program":         {reason: "A program is misspelt.", script: "kubctl get pods", want: "kubctl is no program"},
		"Verb":            {reason: "kubectl has no such verb.", script: "kubectl gte pods", want: `unknown command "gte"`},
		"Verbs":           {reason: "Nor such a second word.", script: "kubectl rollout restrat statefulset files", want: "has no command restrat"},
		"Flag":            {reason: "It has no such flag.", script: "kubectl get pods --al-namespaces", want: "unknown flag: --al-namespaces"},
		"FlagElsewhere":   {reason: "Another verb has that flag.", script: "kubectl describe pod files-0 --watch", want: "unknown flag: --watch"},
		"Kind":            {reason: "There is no such kind.", script: "kubectl get dittoserver,perconapgcluters", want: `no kind "perconapgcluters"`},
		"KindOfMany":      {reason: "The group is another.", script: "kubectl get dittoservers.dittofs.com", want: "no kind"},
		"Name":            {reason: "A server has no such Secret.", script: "kubectl get secret files-conn", want: "no Secret files-conn"},
		"NameOfKind":      {reason: "The name is that of a Secret.", script: "kubectl get service/files-connection", want: "no Service files-connection"},
		"Pod":             {reason: "The pod is called otherwise.", script: "kubectl logs files-1", want: "no Pod files-1"},
		"Field":           {reason: "The status has no such field.", script: "kubectl get dittoserver files -o jsonpath='{.status.phas}'", want: "no field status.phas"},
		"FieldOfList":     {reason: "A list has items.", script: "kubectl get dittoservers -o jsonpath='{.status.phase}'", want: "no field status"},
		"Columns":         {reason: "A column has no such field.", script: "kubectl get dittoservers -A -o custom-columns=X:.status.database.ondelete", want: "no field status.database.ondelete"},
		"Template":        {reason: "A brace is missing.", script: "kubectl get pods -o jsonpath='{.items'", want: "unclosed action"},
		"Range":           {reason: "Inside of a range one starts at its item.", script: "kubectl get dittoservers -o jsonpath='{range .items[*]}{.status.fase}{\"\\n\"}{end}'", want: "no field items.[].status.fase"},
		"Explain":         {reason: "There is no such field to explain.", script: "kubectl explain dittoserver.spec.perkona", want: "no field spec.perkona"},
		"Condition":       {reason: "There is no such condition.", script: "kubectl wait dittoserver files --for=condition=Redy", want: "no condition Redy"},
		"WaitField":       {reason: "Nor such a field to wait for.", script: "kubectl wait dittoserver files --for=jsonpath='{.status.fase}'=Running", want: "no field status.fase"},
		"WaitFor":         {reason: "One cannot wait for that.", script: "kubectl wait dittoserver files --for=Ready", want: "cannot wait"},
		"Selector":        {reason: "That selects nothing.", script: "kubectl get pods -l 'app in dittofs'", want: "unable to parse"},
		"Patch":           {reason: "The spec has no such field.", script: `kubectl patch dittoserver files --type merge -p '{"spec": {"replica": 0}}'`, want: `unknown field "replica"`},
		"PatchJSON":       {reason: "That is no JSON.", script: `kubectl patch dittoserver files --type merge -p '{"spec": {"replicas": 0}'`, want: "yaml"},
		"JSONPatch":       {reason: "The path is another.", script: `kubectl patch perconapgcluster files-postgres --type json -p '[{"op": "replace", "path": "/spec/instance/0/replicas", "value": 2}]'`, want: "no field spec.instance"},
		"JSONPatchOp":     {reason: "There is no such operation.", script: `kubectl patch perconapgcluster files-postgres --type json -p '[{"op": "set", "path": "/spec/port", "value": 2}]'`, want: `no operation "set"`},
		"Annotation":      {reason: "An annotation is misspelt.", script: "kubectl annotate dittoserver files crossplane.io/pause=true", want: "annotation crossplane.io/pause"},
		"File":            {reason: "There is no such file.", script: "kubectl apply -f rbca.yaml", want: "no such file"},
		"FileElsewhere":   {reason: "It is in another folder.", script: "cd docs\nkubectl apply -f rbac.yaml", want: "no such file"},
		"Folder":          {reason: "There is no such folder.", script: "cd example/perkona\nkubectl apply -f xr.yaml", want: "no such file"},
		"Manifest":        {reason: "The API server would refuse it.", script: "kubectl apply -f - <<E\napiVersion: dittofs.io/v1alpha1\nkind: DittoServer\nmetadata: {name: files}\nspec: {storage: {metadataSize: many}}\nE", want: "must be a quantity"},
		"ManifestField":   {reason: "Its kind has no such field.", script: "kubectl apply -f - <<E\napiVersion: pgv2.percona.com/v2\nkind: PerconaPGBackup\nmetadata: {name: b}\nspec: {cluster: files-postgres}\nE", want: "unknown field"},
		"ManifestKind":    {reason: "There is no such kind.", script: "kubectl apply -f - <<E\napiVersion: pgv2.percona.com/v1\nkind: PerconaPGBackup\nE", want: "nothing is known"},
		"CanI":            {reason: "There is no such kind to be allowed.", script: "kubectl auth can-i create statefulset.app", want: "no kind"},
		"Substituted":     {reason: "What is in it is checked as well.", script: "nfs=$(kubectl get servic files-adapter-nfs)", want: `no kind "servic"`},
		"Target":          {reason: "The Makefile has no such target.", script: "make tset", want: "no target tset"},
		"Variable":        {reason: "Nor such a variable.", script: "make render EXAMPEL=percona", want: "no variable EXAMPEL"},
		"Example":         {reason: "There is no such example.", script: "make render EXAMPLE=perkona", want: "no such file"},
		"Client":          {reason: "dfsctl has no such command.", script: "dfsctl shares create --name /export", want: "unknown command"},
		"ClientFlag":      {reason: "Nor such a flag.", script: "dfsctl share create --nam /export", want: "unknown flag: --nam"},
		"Crossplane":      {reason: "Its command line has no such command.", script: "crossplane resources trace x", want: "no command"},
		"CrossplaneFlag":  {reason: "Nor such a flag.", script: "crossplane resource trace x --namespce y", want: "no flag --namespce"},
		"Filter":          {reason: "A bracket is missing.", script: "kubectl get pods -A -o json | jq '.items[] | select(.status'", want: "unexpected EOF"},
		"Package":         {reason: "There is no such package.", script: "go run ./cmd/nothing", want: "no package"},
		"TestFlag":        {reason: "Its tests have no such flag.", script: "cd test/render\ngo test . -updat", want: "no flag updat"},
		"Script":          {reason: "There is no such script.", script: "docs/migrate.sh team-a files", want: "no such file"},
		"ScriptUnpurpose": {reason: "It cannot be run.", script: "docs/api.md", want: "cannot be run"},
	}
	c := checker(t)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := c.Script(tc.script); err != nil {
				got = err.Error()
			}
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%s\n%s\ngot: %q\nwant: %q", tc.reason, tc.script, got, tc.want)
			}
		})
	}
}
