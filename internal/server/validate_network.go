package server

import (
	"net/netip"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	metricsPath = regexp.MustCompile(`^/[A-Za-z0-9/._~-]*$`)
	// The Prometheus operator's definition of a ServiceMonitor has it so.
	prometheusDuration = regexp.MustCompile(`^(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?$`)
)

func (s *Server) validateNetwork(spec *field.Path) field.ErrorList {
	var errs field.ErrorList

	for _, svc := range []struct {
		name        string
		typ         corev1.ServiceType
		annotations map[string]string
	}{
		{"service", s.Spec.Service.Type, s.Spec.Service.Annotations},
		{"adapterServices", s.Spec.AdapterServices.Type, s.Spec.AdapterServices.Annotations},
	} {
		errs = append(errs, validateEnum(spec.Child(svc.name, "type"), svc.typ, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer)...)
		errs = append(errs, validateAnnotations(spec.Child(svc.name, "annotations"), svc.annotations)...)
	}
	for i, peer := range s.Spec.NetworkPolicy.From {
		errs = append(errs, validatePeer(spec.Child("networkPolicy", "from").Index(i), peer)...)
	}

	return append(errs, s.validatePorts(spec)...)
}

// validatePorts refuses two listeners on one port: the server listens on all
// of them at once, whatever is declared of the adapters.
func (s *Server) validatePorts(spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	adapters, nfs, smb := spec.Child("adapters"), s.Spec.Adapters.NFS, s.Spec.Adapters.SMB

	type listener struct {
		path *field.Path
		port int32
	}
	listeners := []listener{
		{spec.Child("controlPlane", "port"), s.Spec.ControlPlane.Port},
		{adapters.Child("nfs", "port"), nfs.Port},
		{adapters.Child("smb", "port"), smb.Port},
	}
	if *s.Spec.Metrics.Enabled {
		listeners = append(listeners, listener{spec.Child("metrics", "port"), s.Spec.Metrics.Port})
	}

	listening := map[int32]string{}
	for _, l := range listeners {
		errs = append(errs, validatePort(l.path, l.port)...)
		if other, taken := listening[l.port]; taken {
			errs = append(errs, field.Invalid(l.path, l.port, "the server already listens on this port, see "+other+"; choose another"))
		}
		listening[l.port] = l.path.String()
	}
	errs = append(errs, validatePort(adapters.Child("nfs", "servicePort"), nfs.ServicePort)...)

	return append(errs, validatePort(adapters.Child("smb", "servicePort"), smb.ServicePort)...)
}

func (s *Server) validateMetrics(p *field.Path) field.ErrorList {
	m := s.Spec.Metrics
	if !*m.Enabled {
		return nil
	}
	errs := validateSecretKey(p.Child("bearerTokenSecret"), m.BearerTokenSecret)
	if !metricsPath.MatchString(m.Path) {
		errs = append(errs, field.Invalid(p.Child("path"), m.Path, "must be the path of a URL, like /metrics"))
	}
	if i := m.ServiceMonitor.Interval; !prometheusDuration.MatchString(i) {
		errs = append(errs, field.Invalid(p.Child("serviceMonitor", "interval"), i, "must be a Prometheus duration, like 30s or 1m30s"))
	}

	return append(errs, validateLabels(p.Child("serviceMonitor", "labels"), m.ServiceMonitor.Labels)...)
}

func validatePeer(p *field.Path, peer networkingv1.NetworkPolicyPeer) field.ErrorList {
	block := peer.IPBlock
	switch {
	case block == nil && peer.PodSelector == nil && peer.NamespaceSelector == nil:
		return field.ErrorList{field.Required(p, "say who may connect: podSelector, namespaceSelector or ipBlock")}
	case block == nil:
		return append(validateSelector(p.Child("podSelector"), peer.PodSelector), validateSelector(p.Child("namespaceSelector"), peer.NamespaceSelector)...)
	case peer.PodSelector != nil || peer.NamespaceSelector != nil:
		return field.ErrorList{field.Forbidden(p, "ipBlock cannot be combined with a selector: make two peers of it")}
	}

	return validateBlock(p.Child("ipBlock"), block)
}

func validateBlock(p *field.Path, block *networkingv1.IPBlock) field.ErrorList {
	cidr, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return field.ErrorList{field.Invalid(p.Child("cidr"), block.CIDR, "must be a range of addresses, like 192.0.2.0/24")}
	}
	var errs field.ErrorList
	for i, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil || !cidr.Contains(except.Addr()) || except.Bits() <= cidr.Bits() {
			errs = append(errs, field.Invalid(p.Child("except").Index(i), text, "must be a smaller range of addresses inside "+block.CIDR))
		}
	}

	return errs
}
