package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/crossplane/function-sdk-go"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// A vault makes values that are found again wherever they turn up, whole or
// encoded.
type vault struct {
	// forms that a value may take, by what it is the value of.
	forms map[string][]string
}

// value of something: letters and digits that nobody guesses, between
// characters that every encoding has to do something about.
func (v *vault) value(of string) string {
	core := rand.Text() // 26 letters and digits, the same in URLs and JSON.
	v.forms[of] = append(v.forms[of], formsOf(core)...)

	return "p@ss/\"w+rd\" %41:" + core + "\\=&\u00e9"
}

// formsOf a text: itself, in hexadecimal digits, and in base64, also twice, and
// also where it begins within a group of three bytes.
func formsOf(text string) []string {
	forms := []string{text, hex.EncodeToString([]byte(text))}
	for _, once := range base64Of(text) {
		forms = append(append(forms, once), base64Of(once)...)
	}

	return forms
}

// base64Of a text somewhere in another one: what does not depend on its
// neighbours.
func base64Of(text string) []string {
	var forms []string
	for skip := range 3 {
		part := text[skip:]
		part = part[:len(part)/3*3]
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(part)), base64.URLEncoding.EncodeToString([]byte(part)))
	}

	return forms
}

// told lists the values that a text tells.
func (v *vault) told(text string) []string {
	var of []string
	for what, forms := range v.forms {
		if slices.ContainsFunc(forms, func(f string) bool { return strings.Contains(text, f) }) {
			of = append(of, what)
		}
	}
	slices.Sort(of)

	return of
}

// replace the values of Secrets by others, and put them, as kubectl does, into
// an annotation as well. What has to be a number is left.
func (v *vault) replace(secrets ...object) []object {
	for _, s := range secrets {
		name, data := textAt(s, "metadata", "name"), mapAt(s, "data")
		for k := range data {
			if k != "port" {
				data[k] = base64.StdEncoding.EncodeToString([]byte(v.value(name + "/" + k)))
			}
		}
		setField(s, fmt.Sprint(data), "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
	}

	return secrets
}

// perconaSecrets as the operator makes them, with the password in the URI, and
// values nobody knows.
func (v *vault) perconaSecrets() []object {
	password := v.value("postgres/password")
	user := userSecret(password)
	edit(user, "data.verifier", base64.StdEncoding.EncodeToString([]byte(v.value("postgres/verifier"))))

	return []object{user, v.replace(caSecret(""))[0]}
}

// generated values are the function's own.
func (v *vault) generated(s *situation) {
	for _, k := range []server.Key{server.KeyJWTSecret, server.KeyAdminCredentials} {
		for name := range mapAt(s.get(k), "data") {
			if value := secretValue(s.get(k), name); len(value) > 12 {
				v.forms["generated "+string(k)] = formsOf(value)
			}
		}
	}
}

// TestVault: a value is found in every form.
func TestVault(t *testing.T) {
	v := &vault{forms: map[string][]string{}}
	value := v.value("mine/key")
	encode := base64.StdEncoding.EncodeToString
	hidden := map[string]string{
		"itself":           "password is " + value,
		"quoted":           strconv.Quote(value),
		"in a query":       url.QueryEscape(value),
		"in a path":        url.PathEscape(value),
		"in a URL":         (&url.URL{Scheme: "postgresql", User: url.UserPassword("dittofs", value), Host: "db"}).String(),
		"in base64":        encode([]byte(value)),
		"without padding":  base64.RawURLEncoding.EncodeToString([]byte(value)),
		"behind others":    encode([]byte("ab" + value)),
		"twice in base64":  encode([]byte(encode([]byte("a" + value)))),
		"in hexadecimal":   hex.EncodeToString([]byte(value)),
		"as bytes of JSON": fmt.Sprintf("%q", []string{value}),
	}
	for how, text := range hidden {
		if !slices.Equal(v.told(text), []string{"mine/key"}) {
			t.Errorf("%s a value is not found: %s", how, text)
		}
	}
	if told := v.told(rand.Text() + encode([]byte(rand.Text()))); told != nil {
		t.Errorf("values are found in what has none: %v", told)
	}
}

// TestR19NoSecretIsTold: the host of a database is told, if it is a host's name
// or address (status.database.host), which none of the values is. Whatever happens to a server with values that nobody
// knows in every Secret that it can refer to, none is told: in no line of the
// log, no result, condition, status or annotation, no object but Secrets, and
// no metric. The function runs as main has it, with its own logger.
func TestR19NoSecretIsTold(t *testing.T) {
	for name, n := range namedSecrets() {
		t.Run(name, func(t *testing.T) {
			v := &vault{forms: map[string][]string{}}
			requests := map[string]*fnv1.RunFunctionRequest{}
			s := newSituation(namespaced(n.edits...)).withInput(permitted()...).add(v.replace(append(theOthers(), secret("mine", n.values))...)...)
			keep := func(state string, s *situation) {
				req, _, _ := s.clone().settle(t)
				requests[state] = req
				requests[state+", first call"] = s.request()
			}

			keep("new", s)
			s.rest(t)
			if s.get(server.KeyCluster) != nil {
				keep("waiting for the database", s)
				s.clusterState("ready", 1).add(v.perconaSecrets()...)
				s.rest(t)
			}
			if s.get(server.KeyStatefulSet) == nil {
				t.Fatalf("%s\nno pod is started: %s", n.reason, messageOf(s.response(t), "ConfigReady"))
			}
			s.podIsReady()
			s.rest(t)
			v.generated(s)
			keep("composed", s)
			keep("refused", s.clone().editXR("spec.replicas", 5))
			keep("another's name", s.clone().forget(server.KeyAPIService).edit(server.KeyAPIService, "metadata.ownerReferences", nil, "metadata.annotations", nil))
			keep("rotated", s.clone().removeSecret("mine").add(v.replace(secret("mine", n.values))...))
			keep("without the key", s.clone().removeSecret("mine").add(v.replace(secret("mine", n.without()))...))
			keep("without the Secret", s.clone().removeSecret("mine"))
			keep("odd values", s.clone().add(v.oddities(n)...))

			n.isNotTold(t, v, requests)
		})
	}

	// The server's own, without any reference.
	t.Run("Generated", func(t *testing.T) {
		v := &vault{forms: map[string][]string{}}
		s := newSituation(withPercona())
		s.rest(t)
		s.clusterState("ready", 1).add(v.perconaSecrets()...)
		s.rest(t)
		s.podIsReady()
		s.rest(t)
		v.generated(s)
		if len(v.forms) < 4 {
			t.Fatalf("the server has no values of its own: %v", slices.Collect(maps.Keys(v.forms)))
		}
		req, _, _ := s.settle(t)
		lost, _, _ := s.clone().remove(server.KeyAdminCredentials, server.KeyConnection).settle(t)
		rotating, _, _ := s.clone().add(v.perconaSecrets()...).add(v.halfRotated()).settle(t)
		namedSecret{reason: "Of its own"}.isNotTold(t, v, map[string]*fnv1.RunFunctionRequest{"composed": req, "lost": lost, "rotating": rotating})
	})
}

// oddities are Secrets with what no field can be.
func (v *vault) oddities(n namedSecret) []object {
	s := v.replace(secret("mine", n.values))[0]
	if at(s, "data", "port") != nil {
		edit(s, "data.port", base64.StdEncoding.EncodeToString([]byte(v.value("mine/port"))))
	}
	edit(s, "data.sslmode", base64.StdEncoding.EncodeToString([]byte(v.value("mine/sslmode"))))
	key := n.key
	if key == "" {
		key = "any"
	}
	// Not base64: an API server would not have it, and nothing is to repeat it.
	setField(s, "!"+v.value("mine/not base64"), "data", key)

	return []object{s}
}

// halfRotated is Percona's Secret with a URI of an earlier password.
func (v *vault) halfRotated() object {
	user := userSecret(v.value("postgres/earlier password"))

	return edit(user, "data.password", base64.StdEncoding.EncodeToString([]byte(v.value("postgres/later password"))))
}

// isNotTold calls the function with requests and looks at everything that it
// says, also where it panics.
func (n namedSecret) isNotTold(t *testing.T, v *vault, requests map[string]*fnv1.RunFunctionRequest) {
	t.Helper()
	panics := map[string]func(req *fnv1.RunFunctionRequest){
		"panic with a text":       func(req *fnv1.RunFunctionRequest) { panic(req.String()) },
		"panic with an error":     func(req *fnv1.RunFunctionRequest) { panic(errors.New(protojson.Format(req))) },
		"panic with the request":  func(req *fnv1.RunFunctionRequest) { panic(req) },
		"panic with a number":     func(req *fnv1.RunFunctionRequest) { _, err := strconv.Atoi(req.String()); panic(err) },
		"panic of the Go runtime": func(req *fnv1.RunFunctionRequest) { _ = make([]string, 1)[len(req.String())] },
	}

	for _, debug := range []bool{false, true} {
		logged := errorOutput(t, func() {
			log, err := function.NewLogger(debug)
			if err != nil {
				t.Fatal(err)
			}
			fn := &Function{log: log}
			s := serveLocally(t, fn, log)
			for state, req := range requests {
				rsp, err := s.client.RunFunction(t.Context(), req)
				if err != nil {
					t.Fatalf("%s: %v", state, err)
				}
				n.saysNothing(t, v, state, rsp)
			}
			for how, do := range panics {
				p := serveLocally(t, &panicking{wrapped: fn, panics: do}, log)
				rsp, err := p.client.RunFunction(t.Context(), requests["composed"])
				if err != nil || fatal(rsp) == "" {
					t.Fatalf("%s: %v, %v", how, rsp.GetResults(), err)
				}
				n.saysNothing(t, v, how, rsp)
				if told := v.told(p.scrape(t)); told != nil {
					t.Errorf("%s\n%s: metrics tell %v", n.reason, how, told)
				}
			}
			if told := v.told(s.scrape(t)); told != nil {
				t.Errorf("%s\nmetrics tell %v", n.reason, told)
			}
		})
		for line := range strings.Lines(logged) {
			if told := v.told(line); told != nil {
				t.Errorf("%s\nthe log tells %v: %s", n.reason, told, line)
			}
		}
		if !strings.Contains(logged, "Recovered from a panic") || strings.Contains(logged, "Composed a server") != debug {
			t.Errorf("%s\nthe log is not what was to be looked at: %s", n.reason, logged)
		}
	}
}

// saysNothing of a value in a response, but in the data of Secrets.
func (n namedSecret) saysNothing(t *testing.T, v *vault, state string, rsp *fnv1.RunFunctionResponse) {
	t.Helper()
	public, ok := proto.Clone(rsp).(*fnv1.RunFunctionResponse)
	if !ok {
		t.Fatal("a clone is of another type")
	}
	for key, r := range public.GetDesired().GetResources() {
		fields := r.GetResource().GetFields()
		if fields["kind"].GetStringValue() != "Secret" {
			continue
		}
		// Values of others are only where the server reads them; the function's
		// own in the Secrets that it makes for them.
		told := v.told(protojson.Format(fields["data"].GetStructValue()))
		allowed := map[string][]string{
			string(server.KeyJWTSecret):        {"generated jwt-secret"},
			string(server.KeyAdminCredentials): {"generated admin-credentials"},
			string(server.KeyConnection):       {"generated admin-credentials"},
		}[key]
		for _, what := range told {
			if !slices.Contains(allowed, what) {
				t.Errorf("%s\n%s: Secret %s has %s", n.reason, state, key, what)
			}
		}
		delete(fields, "data")
	}
	if told := v.told(protojson.Format(public)); told != nil {
		t.Errorf("%s\n%s: the response tells %v", n.reason, state, told)
	}
}

// panicking does what the wrapped function does, and panics before it answers.
type panicking struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	wrapped fnv1.FunctionRunnerServiceServer
	panics  func(req *fnv1.RunFunctionRequest)
}

func (p *panicking) RunFunction(ctx context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	rsp, err := p.wrapped.RunFunction(ctx, req)
	p.panics(req)

	return rsp, err
}

// errorOutput is what is written to the standard error, where the log goes,
// and where libraries write theirs.
func errorOutput(t *testing.T, do func()) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before }()
	do()
	os.Stderr = before

	out, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}

	return string(bytes.ToValidUTF8(out, []byte("?")))
}
