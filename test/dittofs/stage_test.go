package dittofs

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// The server's container.
const containerName = "dittofs"

// A stage is the pod of a rendered example, and what it refers to.
type stage struct {
	pod        corev1.PodSpec
	configMaps map[string]map[string]string
	secrets    map[string]map[string]string
}

// readStage reads expected.yaml, which Crossplane's engine rendered, and
// required.yaml, the Secrets that others made, from a stage's folder. It says
// false if no StatefulSet is composed in that stage.
func readStage(t *testing.T, dir string) (*stage, bool) {
	t.Helper()

	s := &stage{configMaps: map[string]map[string]string{}, secrets: map[string]map[string]string{}}
	var sts *appsv1.StatefulSet
	for _, file := range []string{"expected.yaml", "required.yaml"} {
		for _, doc := range documents(t, filepath.Join(dir, file)) {
			o := struct {
				metav1.TypeMeta   `json:",inline"`
				metav1.ObjectMeta `json:"metadata"`

				Data map[string]string `json:"data"`
			}{}
			decode(t, doc, &o)

			switch o.Kind {
			case "StatefulSet":
				sts = &appsv1.StatefulSet{}
				decode(t, doc, sts)
			case "ConfigMap":
				s.configMaps[o.Name] = o.Data
			case "Secret":
				s.secrets[o.Name] = plain(o.Data)
			}
		}
	}
	if sts == nil {
		return nil, false
	}
	s.pod = sts.Spec.Template.Spec
	return s, true
}

// documents of a YAML stream; none if there is no such file.
func documents(t *testing.T, path string) [][]byte {
	t.Helper()

	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}

	var docs [][]byte
	r := utilyaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(b)))
	defer r.Close()
	buf := make([]byte, len(b)+1)
	for {
		n, err := r.Read(buf)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		docs = append(docs, bytes.Clone(buf[:n]))
	}
}

func decode(t *testing.T, doc []byte, into any) {
	t.Helper()

	if err := yaml.Unmarshal(doc, into); err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
}

// plain returns a Secret's values. A value that was generated is masked in the
// rendered file; one as long as the function's own takes its place.
func plain(data map[string]string) map[string]string {
	values := map[string]string{}
	for k, v := range data {
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			b = []byte(v + strings.Repeat("x", max(0, 43-len(v))))
		}
		values[k] = string(b)
	}
	return values
}

// container is the server's.
func (s *stage) container() (corev1.Container, error) {
	for _, c := range s.pod.Containers {
		if c.Name == containerName {
			return c, nil
		}
	}
	return corev1.Container{}, fmt.Errorf("the pod has no container %q", containerName)
}

// environment of the server's container, as the kubelet would make it.
func (s *stage) environment() (map[string]string, error) {
	c, err := s.container()
	if err != nil {
		return nil, err
	}
	if len(c.EnvFrom) > 0 {
		return nil, errors.New("envFrom lets a Secret name variables that nobody checked")
	}

	env := map[string]string{}
	for _, v := range c.Env {
		if _, ok := env[v.Name]; ok {
			return nil, fmt.Errorf("variable %s is set twice", v.Name)
		}
		if v.ValueFrom == nil {
			env[v.Name] = v.Value
			continue
		}
		ref := v.ValueFrom.SecretKeyRef
		if ref == nil {
			return nil, fmt.Errorf("variable %s does not come from a Secret", v.Name)
		}
		value, ok := s.secrets[ref.Name][ref.Key]
		if !ok && (ref.Optional == nil || !*ref.Optional) {
			return nil, fmt.Errorf("variable %s: Secret %s has no key %s: the pod would not start", v.Name, ref.Name, ref.Key)
		}
		if ok {
			env[v.Name] = value
		}
	}
	return env, nil
}

// file returns what the server's container finds at a path that a ConfigMap or
// a Secret is mounted at.
func (s *stage) file(path string) (string, error) {
	c, err := s.container()
	if err != nil {
		return "", err
	}
	for _, m := range c.VolumeMounts {
		key, ok := strings.CutPrefix(path, m.MountPath+"/")
		if !ok {
			continue
		}
		for _, v := range s.pod.Volumes {
			if v.Name == m.Name {
				return s.mounted(v, key)
			}
		}
	}
	return "", fmt.Errorf("nothing is mounted at %s", path)
}

// mounted returns a file of a volume, by its path in the volume.
func (s *stage) mounted(v corev1.Volume, path string) (string, error) {
	var data map[string]string
	var items []corev1.KeyToPath
	switch {
	case v.ConfigMap != nil:
		data, items = s.configMaps[v.ConfigMap.Name], v.ConfigMap.Items
	case v.Secret != nil:
		data, items = s.secrets[v.Secret.SecretName], v.Secret.Items
	default:
		return "", fmt.Errorf("volume %s is neither a ConfigMap nor a Secret", v.Name)
	}

	key := path
	if len(items) > 0 {
		key = ""
	}
	for _, i := range items {
		if i.Path == path {
			key = i.Key
		}
	}
	content, ok := data[key]
	if !ok {
		return "", fmt.Errorf("volume %s has no file %s", v.Name, path)
	}
	return content, nil
}

// mountPaths of the volume claims, which keep what is written to them.
func (s *stage) mountPaths() []string {
	volumes := map[string]bool{}
	for _, v := range s.pod.Volumes {
		volumes[v.Name] = true
	}

	c, err := s.container()
	if err != nil {
		return nil
	}
	var paths []string
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			paths = append(paths, m.MountPath)
		}
	}
	return paths
}

// configPath is the file that the server is told to read.
func (s *stage) configPath() (string, error) {
	c, err := s.container()
	if err != nil {
		return "", err
	}
	for i, a := range c.Args {
		if a == "--config" && i+1 < len(c.Args) {
			return c.Args[i+1], nil
		}
	}
	return "", fmt.Errorf("the server is not told which file to read: %q", c.Args)
}
