package dittofs

import (
	"encoding/json"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
)

// portAPI is the name of the REST API's port, on the container and on Services.
const portAPI = "api"

// Network builds the server's Services, what scrapes its metrics, and its
// NetworkPolicy.
func Network(srv *server.Server, seen *observed.State) []desired.Object {
	api := corev1ac.ServicePort().WithName(portAPI).WithProtocol(corev1.ProtocolTCP).
		WithPort(srv.Spec.ControlPlane.Port).WithTargetPort(intstr.FromString(portAPI))

	headless := service(srv, server.KeyHeadlessService, v1alpha1.ServiceSpec{}, api)
	headless.Spec.WithClusterIP(corev1.ClusterIPNone)

	var objects []desired.Object
	add := func(k server.Key, svc *corev1ac.ServiceApplyConfiguration) {
		objects = append(objects, desired.New(k, svc, seen.Get(k).Live()))
	}
	add(server.KeyHeadlessService, headless)
	add(server.KeyAPIService, service(srv, server.KeyAPIService, srv.Spec.Service, api))
	if nfs := srv.Spec.Adapters.NFS; *nfs.Enabled {
		add(server.KeyNFSService, service(srv, server.KeyNFSService, srv.Spec.AdapterServices, adapterPort("nfs", nfs.ServicePort, nfs.Port)))
	}
	if smb := srv.Spec.Adapters.SMB; *smb.Enabled {
		add(server.KeySMBService, service(srv, server.KeySMBService, srv.Spec.AdapterServices, adapterPort("smb", smb.ServicePort, smb.Port)))
	}
	if *srv.Spec.Metrics.Enabled {
		objects = append(objects, metricsService(srv, seen))
	}
	if srv.WantsMonitor() && seen.MonitoringServed {
		objects = append(objects, serviceMonitor(srv, seen))
	}
	if *srv.Spec.NetworkPolicy.Enabled {
		objects = append(objects, networkPolicy(srv, seen))
	}

	return objects
}

func service(srv *server.Server, k server.Key, spec v1alpha1.ServiceSpec, port *corev1ac.ServicePortApplyConfiguration) *corev1ac.ServiceApplyConfiguration {
	svc := corev1ac.Service(srv.Identity(k).Name, srv.Namespace).
		WithLabels(srv.Labels("service")).
		WithSpec(corev1ac.ServiceSpec().WithSelector(srv.Selector()).WithPorts(port))
	if len(spec.Annotations) > 0 {
		svc.WithAnnotations(spec.Annotations)
	}
	if spec.Type != "" {
		svc.Spec.WithType(spec.Type)
	}

	return svc
}

// adapterPort leads to a file protocol. The container's port is given by
// number: ports that the container names are in the pod template, where a
// change would restart the server.
func adapterPort(name string, port, target int32) *corev1ac.ServicePortApplyConfiguration {
	return corev1ac.ServicePort().WithName(name).WithProtocol(corev1.ProtocolTCP).
		WithPort(port).WithTargetPort(intstr.FromInt32(target))
}

// networkPolicy admits traffic to what the server serves, and nothing else. The
// API's port goes by its name: a pod that is kept listens where it did.
func networkPolicy(srv *server.Server, seen *observed.State) desired.Object {
	id := srv.Identity(server.KeyNetworkPolicy)
	rule := networkingv1ac.NetworkPolicyIngressRule().WithPorts(policyPort(intstr.FromString(portAPI)))
	if nfs := srv.Spec.Adapters.NFS; *nfs.Enabled {
		rule.WithPorts(policyPort(intstr.FromInt32(nfs.Port)))
	}
	if smb := srv.Spec.Adapters.SMB; *smb.Enabled {
		rule.WithPorts(policyPort(intstr.FromInt32(smb.Port)))
	}
	if m := srv.Spec.Metrics; *m.Enabled {
		rule.WithPorts(policyPort(intstr.FromInt32(m.Port)))
	}
	for _, peer := range srv.Spec.NetworkPolicy.From {
		ac, err := as[networkingv1ac.NetworkPolicyPeerApplyConfiguration](peer)
		if err != nil {
			return desired.Object{Key: id.Key, Err: err}
		}
		rule.WithFrom(ac)
	}

	return desired.New(id.Key, networkingv1ac.NetworkPolicy(id.Name, srv.Namespace).
		WithLabels(srv.Labels("network-policy")).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(selector(srv)).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(rule)), seen.Get(id.Key).Live())
}

func policyPort(port intstr.IntOrString) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(corev1.ProtocolTCP).WithPort(port)
}

// Endpoints of the server inside the cluster.
func Endpoints(srv *server.Server, work *Workload) v1alpha1.EndpointsStatus {
	address := func(k server.Key, port int32) string {
		return net.JoinHostPort(srv.Identity(k).Name+"."+srv.Namespace+".svc", strconv.Itoa(int(port)))
	}

	scheme := "http"
	if work.Secure {
		scheme = "https"
	}
	e := v1alpha1.EndpointsStatus{API: scheme + "://" + address(server.KeyAPIService, srv.Spec.ControlPlane.Port)}
	if nfs := srv.Spec.Adapters.NFS; *nfs.Enabled {
		e.NFS = address(server.KeyNFSService, nfs.ServicePort)
	}
	if smb := srv.Spec.Adapters.SMB; *smb.Enabled {
		e.SMB = address(server.KeySMBService, smb.ServicePort)
	}

	return e
}

// ConnectionDetails are what a client needs: where the server is, and who its
// administrator is. They hold a password only if it was generated; for a
// person's own they say where it is (R19).
func ConnectionDetails(srv *server.Server, creds *Credentials, work *Workload) map[string][]byte {
	e := Endpoints(srv, work)
	details := map[string][]byte{
		"api-url":               []byte(e.API),
		server.AdminUsernameKey: []byte(adminUsername),
	}
	if e.NFS != "" {
		details["nfs-endpoint"] = []byte(e.NFS)
	}
	if e.SMB != "" {
		details["smb-endpoint"] = []byte(e.SMB)
	}
	if creds.AdminSecret != srv.Identity(server.KeyAdminCredentials).Name {
		details[server.PasswordSecretNameKey] = []byte(creds.AdminSecret)
		details[server.PasswordSecretKeyKey] = []byte(creds.AdminSecretKey)

		return details
	}
	if creds.password != "" {
		details[server.AdminPasswordKey] = []byte(creds.password)
	}

	return details
}

// Connection is the Secret with the connection details. A password that it
// holds stays there while it is not known what became of the Secret that it
// came from.
func Connection(srv *server.Server, seen *observed.State, creds *Credentials, work *Workload) desired.Object {
	id := srv.Identity(server.KeyConnection)
	live := seen.Get(id.Key)
	details := ConnectionDetails(srv, creds, work)
	generated := creds.AdminSecret == srv.Identity(server.KeyAdminCredentials).Name
	if stored, ok := observed.SecretValue(live, server.AdminPasswordKey); ok && generated && creds.password == "" {
		details[server.AdminPasswordKey] = []byte(stored)
	}

	return desired.New(id.Key, corev1ac.Secret(id.Name, srv.Namespace).
		WithLabels(srv.Labels("connection")).
		WithData(details), live.Live())
}

// as converts an API type into its apply configuration, or back: the two have
// the same JSON, and what is not set in the one is not set in the other.
func as[T any](in any) (*T, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return nil, errors.Wrapf(err, "cannot encode %T", in)
	}
	out := new(T)

	return out, errors.Wrapf(json.Unmarshal(b, out), "cannot decode %T", in)
}
