package plane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
)

const (
	// CrossplaneNamespace is where Crossplane is installed.
	CrossplaneNamespace = "crossplane-system"

	// CrossplaneAccount is who Crossplane is.
	CrossplaneAccount = "crossplane"

	rbacAccount = "rbac-manager"

	crossplaneReady = "http://127.0.0.1:28081/readyz"

	// Init is tried again while what it installed is not served yet, as its
	// container is.
	initTimeout = 3 * time.Minute
	initPoll    = time.Second

	// A token for as long as the sandbox may live.
	tokenSeconds = 7 * 24 * 60 * 60
)

// Crossplane installs and starts Crossplane as its chart does: its core and its
// RBAC manager under ServiceAccounts of their own, with the chart's roles.
// What they may not do fails here too.
func (p *Plane) Crossplane(ctx context.Context) error {
	if err := p.installCrossplane(ctx); err != nil {
		return err
	}
	client, server, err := p.initCrossplane(ctx)
	if err != nil {
		return err
	}
	coreConfig, err := p.accountConfig(ctx, CrossplaneAccount)
	if err != nil {
		return err
	}
	rbacConfig, err := p.accountConfig(ctx, rbacAccount)
	if err != nil {
		return err
	}
	cache := filepath.Join(p.State, "xpkg")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return err
	}
	core, err := p.start("crossplane", here{}, append(crossplaneEnv(),
		"KUBECONFIG="+coreConfig, "TLS_CLIENT_CERTS_DIR="+client, "TLS_SERVER_CERTS_DIR="+server),
		p.programs.Crossplane, "core", "start", "--debug", "--xpkg-cache-dir", cache,
		"--metrics-port", "28080", "--health-probe-port", "28081")
	if err != nil {
		return err
	}
	// The RBAC manager lets Crossplane handle the types of each XRD. It wants
	// port 8080 at every address.
	pod, err := p.box.Network.Pod(ctx)
	if err != nil {
		return err
	}
	if _, err := p.start("crossplane-rbac", pod, []string{"KUBECONFIG=" + rbacConfig}, p.programs.Crossplane, "rbac", "start"); err != nil {
		return err
	}
	return p.wait(ctx, core, answers(p.http(), crossplaneReady))
}

func crossplaneEnv() []string {
	return []string{
		"POD_NAMESPACE=" + CrossplaneNamespace, "POD_SERVICE_ACCOUNT=" + CrossplaneAccount, "ENABLE_WEBHOOKS=false",
		"TLS_CA_SECRET_NAME=crossplane-root-ca", "TLS_SERVER_SECRET_NAME=crossplane-tls-server", "TLS_CLIENT_SECRET_NAME=crossplane-tls-client",
	}
}

// installCrossplane applies what the chart has beside its Deployments.
func (p *Plane) installCrossplane(ctx context.Context) error {
	secret := func(name string) client.Object {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: CrossplaneNamespace, Name: name}}
	}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: CrossplaneNamespace}},
		secret("crossplane-root-ca"), secret("crossplane-tls-server"), secret("crossplane-tls-client"),
	} {
		if err := p.Client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("cannot prepare Crossplane's namespace: %w", err)
		}
	}
	for _, name := range []string{
		"clusterrole", "clusterrolebinding", "serviceaccount", "rbac-manager-allowed-provider-permissions", "rbac-manager-clusterrole",
		"rbac-manager-clusterrolebinding", "rbac-manager-managed-clusterroles", "rbac-manager-serviceaccount",
	} {
		manifests, err := chart(filepath.Join(p.programs.CrossplaneModule, "cluster", "charts", "crossplane", "templates", name+".yaml"))
		if err != nil {
			return err
		}
		if err := p.Client.ApplyYAML(ctx, manifests); err != nil {
			return fmt.Errorf("cannot apply %s of Crossplane's chart: %w", name, err)
		}
	}
	return nil
}

// chart renders a template of Crossplane's chart with the chart's defaults, as
// far as these templates need them.
func chart(path string) ([]byte, error) {
	source, err := os.ReadFile(path) //nolint:gosec // Of the module that we run.
	if err != nil {
		return nil, err
	}
	indent := func(n int, s string) string { return strings.ReplaceAll("\n"+s, "\n", "\n"+strings.Repeat(" ", n)) }
	t, err := template.New("chart").Funcs(template.FuncMap{
		"include": func(string, any) string { return "" },
		"indent":  func(int, string) string { return "" },
		"nindent": indent,
		"toYaml": func(v any) (string, error) {
			b, err := yaml.Marshal(v)
			return string(b), err
		},
	}).Parse(`{{define "crossplane.name"}}crossplane{{end}}` + string(source))
	if err != nil {
		return nil, err
	}
	on := map[string]any{"create": true, "deploy": true}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Release": map[string]any{"Namespace": CrossplaneNamespace},
		"Values":  map[string]any{"rbacManager": on, "serviceAccount": on},
	})
	return out.Bytes(), err
}

// initCrossplane installs CRDs and makes certificates, which it writes into
// folders for core's client and server.
func (p *Plane) initCrossplane(ctx context.Context) (clientDir, serverDir string, err error) {
	env := append(crossplaneEnv(), "KUBECONFIG="+p.Kubeconfig, "CRDS_PATH="+filepath.Join(p.programs.CrossplaneModule, "cluster", "crds"))
	err = cluster.Poll(ctx, initTimeout, initPoll, func(ctx context.Context) (bool, error) {
		err := p.run(ctx, "crossplane-init", env, p.programs.Crossplane, "core", "init", "--activation", "*")
		return err == nil, err
	})
	if err != nil {
		return "", "", err
	}
	if clientDir, err = p.certificates(ctx, "crossplane-tls-client"); err != nil {
		return "", "", err
	}
	serverDir, err = p.certificates(ctx, "crossplane-tls-server")
	return clientDir, serverDir, err
}

// certificates of a Secret, as files.
func (p *Plane) certificates(ctx context.Context, name string) (string, error) {
	var secret corev1.Secret
	if err := p.Client.Get(ctx, client.ObjectKey{Namespace: CrossplaneNamespace, Name: name}, &secret); err != nil {
		return "", err
	}
	dir := filepath.Join(p.State, "tls", name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for key, content := range secret.Data {
		if err := os.WriteFile(filepath.Join(dir, key), content, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// accountConfig is the kubeconfig of a ServiceAccount.
func (p *Plane) accountConfig(ctx context.Context, name string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: CrossplaneNamespace, Name: name}}
	seconds := int64(tokenSeconds)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if err := p.Client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("cannot get a token of %s: %w", name, err)
	}
	path := filepath.Join(p.State, name+".kubeconfig")
	return path, p.pki.kubeconfig(path, "https://"+APIAddress, request.Status.Token)
}
