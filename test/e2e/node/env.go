package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/dittofs/function-dittoserver/test/e2e/sandbox"
)

// environment of a container, complete, as NAME=value.
func (p *pod) environment(ctx context.Context, c corev1.Container) ([]string, error) {
	env := map[string]string{
		"PATH":                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME":                    "/",
		"HOSTNAME":                p.object.Name,
		"KUBERNETES_SERVICE_HOST": sandbox.APIServiceIP,
		"KUBERNETES_SERVICE_PORT": "443",
	}
	for _, from := range c.EnvFrom {
		data, err := p.source(ctx, from)
		if err != nil {
			return nil, err
		}
		for k, v := range data {
			env[from.Prefix+k] = string(v)
		}
	}
	for _, e := range c.Env {
		value, ok, err := p.value(ctx, e, env)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", e.Name, err)
		}
		if ok {
			env[e.Name] = value
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list, nil
}

func (p *pod) source(ctx context.Context, from corev1.EnvFromSource) (map[string][]byte, error) {
	if from.SecretRef != nil {
		return p.secret(ctx, from.SecretRef.Name, nil, from.SecretRef.Optional)
	}
	return p.configMap(ctx, from.ConfigMapRef.Name, nil, from.ConfigMapRef.Optional)
}

// value of a variable; there is none if what it refers to is optional.
func (p *pod) value(ctx context.Context, e corev1.EnvVar, env map[string]string) (value string, ok bool, err error) {
	from := e.ValueFrom
	if from == nil {
		return expand(e.Value, env), true, nil
	}
	var data map[string][]byte
	var key string
	var optional *bool
	switch {
	case from.FieldRef != nil:
		return p.field(from.FieldRef), true, nil
	case from.ResourceFieldRef != nil:
		return "1", true, nil
	case from.SecretKeyRef != nil:
		key, optional = from.SecretKeyRef.Key, from.SecretKeyRef.Optional
		data, err = p.secret(ctx, from.SecretKeyRef.Name, nil, optional)
	case from.ConfigMapKeyRef != nil:
		key, optional = from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional
		data, err = p.configMap(ctx, from.ConfigMapKeyRef.Name, nil, optional)
	}
	if err != nil {
		return "", false, err
	}
	content, ok := data[key]
	if !ok && (optional == nil || !*optional) {
		return "", false, fmt.Errorf("key %q does not exist", key)
	}
	return string(content), ok, nil
}

// field of the pod.
func (p *pod) field(ref *corev1.ObjectFieldSelector) string {
	object := p.object
	switch ref.FieldPath {
	case "metadata.name":
		return object.Name
	case "metadata.namespace":
		return object.Namespace
	case "metadata.uid":
		return string(object.UID)
	case "spec.nodeName":
		return Name
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName
	case "status.podIP":
		return p.network.IP
	case "status.hostIP":
		return sandbox.HostIP
	}
	if key, ok := strings.CutPrefix(ref.FieldPath, "metadata.labels['"); ok {
		return object.Labels[strings.TrimSuffix(key, "']")]
	}
	if key, ok := strings.CutPrefix(ref.FieldPath, "metadata.annotations['"); ok {
		return object.Annotations[strings.TrimSuffix(key, "']")]
	}
	return ""
}

// expand $(NAME) where NAME is known; $$ stands for a dollar.
func expand(s string, env map[string]string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, "$")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		s = after
		if strings.HasPrefix(s, "$") {
			b.WriteString("$")
			s = s[1:]
			continue
		}
		name, rest, closed := strings.Cut(strings.TrimPrefix(s, "("), ")")
		value, known := env[name]
		if !strings.HasPrefix(s, "(") || !closed || !known {
			b.WriteString("$")
			continue
		}
		b.WriteString(value)
		s = rest
	}
}
