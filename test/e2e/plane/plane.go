// Package plane runs a real control plane as plain processes: etcd, the API
// server, the controller manager, the scheduler, kwok in place of kubelets, and
// Crossplane. Whether a pod runs for real is up to package node.
package plane

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/dittofs/function-dittoserver/test/e2e/cluster"
	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
	"github.com/dittofs/function-dittoserver/test/e2e/toolchain"
)

const (
	// APIAddress of the API server inside the sandbox.
	APIAddress = sandbox.HostIP + ":6443"

	etcdURL      = "http://127.0.0.1:2379"
	etcdPeerURL  = "http://127.0.0.1:2380"
	kwokAddress  = "127.0.0.1:10247"
	managerURL   = "https://127.0.0.1:10257/healthz"
	schedulerURL = "https://127.0.0.1:10259/healthz"

	// Programs start within seconds; the machine may be busy.
	startTimeout = 3 * time.Minute

	// Answers come at once, or the program is still starting.
	answerTimeout = 2 * time.Second
)

// Plane is a control plane that runs.
type Plane struct {
	// State folder, and Logs of its programs.
	State, Logs string

	// Kubeconfig of an administrator, inside the sandbox.
	Kubeconfig string

	Client *cluster.Client

	programs *toolchain.Programs
	box      *sandbox.Sandbox
	pki      *pki
	say      func(string)
}

// Start Kubernetes. Each program that is ready is told to say.
func Start(ctx context.Context, box *sandbox.Sandbox, programs *toolchain.Programs, logs string, say func(string)) (*Plane, error) {
	if err := os.MkdirAll(logs, 0o755); err != nil { //nolint:gosec // Logs are for everyone.
		return nil, err
	}
	keys, err := newPKI(filepath.Join(box.State, "pki"))
	if err != nil {
		return nil, fmt.Errorf("cannot make certificates: %w", err)
	}
	p := &Plane{State: box.State, Logs: logs, Kubeconfig: filepath.Join(box.State, "kubeconfig"), programs: programs, box: box, pki: keys, say: say}
	if err := keys.kubeconfig(p.Kubeconfig, "https://"+APIAddress, ""); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{p.etcd, p.apiServer, p.controllers, p.apiService, p.kwok} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// WriteKubeconfig of an administrator for another address of the API server.
func (p *Plane) WriteKubeconfig(path, address string) error {
	return p.pki.kubeconfig(path, "https://"+address, "")
}

func (p *Plane) etcd(ctx context.Context) error {
	process, err := p.start("etcd", here{}, nil, p.programs.Etcd,
		"--data-dir", filepath.Join(p.State, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", etcdPeerURL, "--initial-advertise-peer-urls", etcdPeerURL, "--initial-cluster", "default="+etcdPeerURL)
	if err != nil {
		return err
	}
	return p.wait(ctx, process, answers(p.http(), etcdURL+"/health"))
}

func (p *Plane) apiServer(ctx context.Context) error {
	process, err := p.start("kube-apiserver", here{}, nil, p.programs.APIServer,
		"--etcd-servers", etcdURL, "--bind-address", "0.0.0.0", "--advertise-address", sandbox.HostIP, "--secure-port", "6443",
		"--tls-cert-file", p.pki.file("apiserver.crt"), "--tls-private-key-file", p.pki.file("apiserver.key"), "--client-ca-file", p.pki.file("ca.crt"),
		"--service-account-key-file", p.pki.file("sa.pub"), "--service-account-signing-key-file", p.pki.file("sa.key"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--authorization-mode", "RBAC",
		"--service-cluster-ip-range", sandbox.ServiceCIDR, "--allow-privileged",
		// Nodes here are ready at once, and nothing would take the taint away.
		"--disable-admission-plugins", "TaintNodesByCondition")
	if err != nil {
		return err
	}
	config := p.pki.config("https://" + APIAddress)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	client.Timeout = answerTimeout
	if err := p.wait(ctx, process, answers(client, config.Host+"/readyz")); err != nil {
		return err
	}
	p.Client, err = cluster.New(config)
	return err
}

// controllers are the controller manager and the scheduler. The volumes that
// the first provisions are folders.
func (p *Plane) controllers(ctx context.Context) error {
	manager, err := p.start("kube-controller-manager", here{}, nil, p.programs.ControllerManager,
		"--kubeconfig", p.Kubeconfig, "--leader-elect=false", "--bind-address", "127.0.0.1",
		"--service-account-private-key-file", p.pki.file("sa.key"), "--root-ca-file", p.pki.file("ca.crt"),
		"--enable-hostpath-provisioner", "--controllers", "*,-node-lifecycle-controller,-node-ipam-controller")
	if err != nil {
		return err
	}
	scheduler, err := p.start("kube-scheduler", here{}, nil, p.programs.Scheduler,
		"--kubeconfig", p.Kubeconfig, "--leader-elect=false", "--bind-address", "127.0.0.1")
	if err != nil {
		return err
	}
	if err := p.wait(ctx, manager, answers(p.http(), managerURL)); err != nil {
		return err
	}
	if err := p.wait(ctx, scheduler, answers(p.http(), schedulerURL)); err != nil {
		return err
	}
	return p.Client.ApplyYAML(ctx, []byte(storageClass))
}

// apiService makes the API server answer at its Service's address.
func (p *Plane) apiService(ctx context.Context) error {
	if err := p.box.Network.Address(ctx, sandbox.APIServiceIP); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(sandbox.APIServiceIP, "443"))
	if err != nil {
		return err
	}
	go sandbox.Forward(ctx, l, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", APIAddress)
	})
	return nil
}

// kwok says of the pods on its node that they run.
func (p *Plane) kwok(ctx context.Context) error {
	stages := []string{databaseReady}
	for _, name := range []string{
		"node/fast/node-initialize.yaml", "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
		"pod/fast/pod-ready.yaml", "pod/fast/pod-complete.yaml", "pod/fast/pod-delete.yaml",
	} {
		content, err := os.ReadFile(filepath.Join(p.programs.KwokModule, "kustomize", "stage", name)) //nolint:gosec // Of the module that we run.
		if err != nil {
			return fmt.Errorf("cannot read a stage of kwok: %w", err)
		}
		stages = append(stages, string(content))
	}
	config := filepath.Join(p.State, "kwok.yaml")
	if err := os.WriteFile(config, []byte(strings.Join(stages, "\n---\n")), 0o600); err != nil { //nolint:gosec // Ours.
		return err
	}
	if err := p.Client.ApplyYAML(ctx, []byte(nodes)); err != nil {
		return err
	}
	process, err := p.start("kwok", here{}, nil, p.programs.Kwok,
		"--kubeconfig", p.Kubeconfig, "--config", config, "--manage-nodes-with-label-selector", "e2e.dittofs.io/pods=pretended",
		"--cidr", "10.245.0.0/16", "--node-ip", sandbox.HostIP, "--server-address", kwokAddress)
	if err != nil {
		return err
	}
	return p.wait(ctx, process, answers(p.http(), "http://"+kwokAddress+"/healthz"))
}

// wait until a process is ready, and say so.
func (p *Plane) wait(ctx context.Context, process *Process, check func(context.Context) error) error {
	if err := process.ready(ctx, startTimeout, check); err != nil {
		return err
	}
	p.say(process.name + " is ready")
	return nil
}

// http client for programs that show no certificate worth checking.
func (p *Plane) http() *http.Client {
	return &http.Client{Timeout: answerTimeout, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // Of our own, on loopback.
	}}
}
