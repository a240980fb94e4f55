package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

// Services make the Services whose pods run for real reachable: by their names,
// as a cluster's DNS does, and at their addresses and ports, as kube-proxy does.
type Services struct {
	mirror client.Reader
	box    *sandbox.Sandbox
	say    func(string)

	mu      sync.Mutex
	proxies map[string]*proxy
}

// A proxy listens at the address and port of a Service.
type proxy struct {
	listener net.Listener

	mu       sync.Mutex
	backends []string
	next     int
}

// NewServices makes none reachable yet.
func NewServices(mirror client.Reader, box *sandbox.Sandbox, say func(string)) *Services {
	return &Services{mirror: mirror, box: box, say: say, proxies: map[string]*proxy{}}
}

// Run until the context ends.
func (s *Services) Run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		if err := s.sync(ctx); err != nil && ctx.Err() == nil {
			s.say("services: " + err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Services) sync(ctx context.Context) error {
	var services corev1.ServiceList
	if err := s.mirror.List(ctx, &services); err != nil {
		return err
	}
	var slicesList discoveryv1.EndpointSliceList
	if err := s.mirror.List(ctx, &slicesList); err != nil {
		return err
	}
	endpoints := map[client.ObjectKey][]discoveryv1.EndpointSlice{}
	for i := range slicesList.Items {
		slice := &slicesList.Items[i]
		key := client.ObjectKey{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		endpoints[key] = append(endpoints[key], *slice)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := map[string][]string{}
	var errs []error
	for i := range services.Items {
		service := &services.Items[i]
		backends := realBackends(endpoints[client.ObjectKeyFromObject(service)])
		if len(backends) == 0 {
			continue
		}
		address := service.Spec.ClusterIP
		if address == corev1.ClusterIPNone {
			address = firstKey(backends[firstKey(backends)])
		} else {
			for _, port := range service.Spec.Ports {
				for _, backend := range backends[port.Name] {
					at := net.JoinHostPort(address, strconv.Itoa(int(port.Port)))
					wanted[at] = append(wanted[at], backend)
				}
			}
		}
		name := service.Name + "." + service.Namespace
		errs = append(errs, s.box.Hosts.Set(address, name, name+".svc", name+".svc.cluster.local"))
	}
	errs = append(errs, s.proxy(ctx, wanted))
	return errors.Join(errs...)
}

func firstKey[V any](m map[string]V) string {
	return slices.Sorted(maps.Keys(m))[0]
}

// realBackends by the names of ports: pods of this node that are ready, their
// addresses with and without the port.
func realBackends(all []discoveryv1.EndpointSlice) map[string]map[string]string {
	backends := map[string]map[string]string{}
	for _, slice := range all {
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName == nil || *endpoint.NodeName != Name || endpoint.Conditions.Ready == nil || !*endpoint.Conditions.Ready {
				continue
			}
			for _, port := range slice.Ports {
				if backends[*port.Name] == nil {
					backends[*port.Name] = map[string]string{}
				}
				ip := endpoint.Addresses[0]
				backends[*port.Name][ip] = net.JoinHostPort(ip, strconv.Itoa(int(*port.Port)))
			}
		}
	}
	return backends
}

// proxy at just these addresses.
func (s *Services) proxy(ctx context.Context, wanted map[string][]string) error {
	for at, p := range s.proxies {
		// Without a backend its connections are refused, as kube-proxy does.
		if len(wanted[at]) == 0 {
			_ = p.listener.Close()
			delete(s.proxies, at)
		}
	}
	for at, backends := range wanted {
		slices.Sort(backends)
		p := s.proxies[at]
		if p == nil {
			host, _, err := net.SplitHostPort(at)
			if err != nil {
				return err
			}
			if err := s.box.Network.Address(ctx, host); err != nil {
				return err
			}
			l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
			if err != nil {
				return fmt.Errorf("cannot listen for a Service: %w", err)
			}
			p = &proxy{listener: l}
			s.proxies[at] = p
			go sandbox.Forward(ctx, l, p.dial)
		}
		p.mu.Lock()
		p.backends = backends
		p.mu.Unlock()
	}
	return nil
}

// dial the backends in turn.
func (p *proxy) dial(ctx context.Context) (net.Conn, error) {
	p.mu.Lock()
	backend := p.backends[p.next%len(p.backends)]
	p.next++
	p.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, "tcp", backend)
}
