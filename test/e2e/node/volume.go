package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	readable = 0o644
	folder   = 0o755

	// A volume's group may do what its user may, and owns what is made there.
	groupMode = 0o660
	groupDir  = 0o770 | fs.ModeSetgid
)

// volumes makes the pod's volumes, as far as they are not there yet, and
// refreshes those that come from objects. It returns their folders.
func (p *pod) volumes(ctx context.Context) (map[string]string, error) {
	dirs := map[string]string{}
	for _, v := range p.object.Spec.Volumes {
		dir, err := p.volume(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.Name, err)
		}
		dirs[v.Name] = dir
	}
	return dirs, nil
}

func (p *pod) volume(ctx context.Context, v corev1.Volume) (string, error) {
	dir := filepath.Join(p.dir, "volumes", v.Name)
	if err := os.MkdirAll(dir, folder); err != nil {
		return "", err
	}
	switch {
	case v.PersistentVolumeClaim != nil:
		return p.claim(ctx, v.PersistentVolumeClaim.ClaimName)
	case v.EmptyDir != nil:
		return dir, p.own(dir)
	case v.ConfigMap != nil:
		files, err := p.configMap(ctx, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
		if err != nil {
			return "", err
		}
		return dir, p.fill(dir, files, mode(v.ConfigMap.DefaultMode))
	case v.Secret != nil:
		files, err := p.secret(ctx, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
		if err != nil {
			return "", err
		}
		return dir, p.fill(dir, files, mode(v.Secret.DefaultMode))
	case v.Projected != nil:
		files, err := p.projected(ctx, v.Projected.Sources)
		if err != nil {
			return "", err
		}
		return dir, p.fill(dir, files, mode(v.Projected.DefaultMode))
	default:
		return "", errors.New("this node has no volumes of its type")
	}
}

func mode(m *int32) fs.FileMode {
	if m == nil {
		return readable
	}
	return fs.FileMode(*m) //nolint:gosec // The API server checks it.
}

// claim returns the folder of the claim's volume.
func (p *pod) claim(ctx context.Context, name string) (string, error) {
	var claim corev1.PersistentVolumeClaim
	if err := p.get(ctx, name, &claim); err != nil {
		return "", err
	}
	if claim.Status.Phase != corev1.ClaimBound {
		return "", fmt.Errorf("claim %s is not bound", name)
	}
	var volume corev1.PersistentVolume
	if err := p.agent.client.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, &volume); err != nil {
		return "", err
	}
	if volume.Spec.HostPath == nil {
		return "", fmt.Errorf("volume %s is no folder", volume.Name)
	}
	return volume.Spec.HostPath.Path, p.own(volume.Spec.HostPath.Path)
}

// own gives a folder and what is in it to the pod's group, if it has one, else
// to everyone.
func (p *pod) own(dir string) error {
	group := p.object.Spec.SecurityContext.FSGroup
	if group == nil {
		return os.Chmod(dir, 0o777) //nolint:gosec // As kubelets do.
	}
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		if err := os.Chown(name, -1, int(*group)); err != nil { //nolint:gosec // No pod runs on it now.
			return err
		}
		if entry.IsDir() {
			return os.Chmod(name, info.Mode()|groupDir) //nolint:gosec // The same.
		}
		return os.Chmod(name, info.Mode()|groupMode) //nolint:gosec // The same.
	})
}

// fill a folder with just these files. A file that changes is replaced at once.
func (p *pod) fill(dir string, files map[string][]byte, mode fs.FileMode) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) { //nolint:gosec // Ours.
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), folder); err != nil {
			return err
		}
		next := filepath.Join(dir, ".next")
		if err := os.WriteFile(next, content, mode); err != nil {
			return err
		}
		if err := os.Chmod(next, mode); err != nil {
			return err
		}
		if group := p.object.Spec.SecurityContext.FSGroup; group != nil {
			const groupRead = 0o440
			if err := errors.Join(os.Chown(next, -1, int(*group)), os.Chmod(next, mode|groupRead)); err != nil {
				return err
			}
		}
		if err := os.Rename(next, path); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if _, ok := files[name]; ok {
			return nil
		}
		return os.Remove(path) //nolint:gosec // Pods cannot write there.
	})
}

func (p *pod) get(ctx context.Context, name string, into client.Object) error {
	return p.agent.client.Get(ctx, client.ObjectKey{Namespace: p.object.Namespace, Name: name}, into)
}

func (p *pod) configMap(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	var object corev1.ConfigMap
	if err := p.get(ctx, name, &object); err != nil {
		return nil, absent(err, optional)
	}
	data := object.BinaryData
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range object.Data {
		data[k] = []byte(v)
	}
	return project(data, items, optional)
}

func (p *pod) secret(ctx context.Context, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	var object corev1.Secret
	if err := p.get(ctx, name, &object); err != nil {
		return nil, absent(err, optional)
	}
	return project(object.Data, items, optional)
}

// absent objects are no error if they are optional.
func absent(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// project keys to paths.
func project(data map[string][]byte, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	if len(items) == 0 {
		return data, nil
	}
	files := map[string][]byte{}
	for _, item := range items {
		content, ok := data[item.Key]
		switch {
		case ok:
			files[item.Path] = content
		case optional == nil || !*optional:
			return nil, fmt.Errorf("key %s does not exist", item.Key)
		}
	}
	return files, nil
}

// projected volumes, such as a ServiceAccount's token.
func (p *pod) projected(ctx context.Context, sources []corev1.VolumeProjection) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, s := range sources {
		var some map[string][]byte
		var err error
		switch {
		case s.ConfigMap != nil:
			some, err = p.configMap(ctx, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
		case s.Secret != nil:
			some, err = p.secret(ctx, s.Secret.Name, s.Secret.Items, s.Secret.Optional)
		case s.DownwardAPI != nil:
			some = map[string][]byte{}
			for _, item := range s.DownwardAPI.Items {
				some[item.Path] = []byte(p.field(item.FieldRef))
			}
		case s.ServiceAccountToken != nil:
			var token string
			token, err = p.token(ctx, s.ServiceAccountToken)
			some = map[string][]byte{s.ServiceAccountToken.Path: []byte(token)}
		default:
			err = errors.New("this node cannot project that")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(files, some)
	}
	return files, nil
}

// token of the pod's ServiceAccount, renewed after half of its life.
func (p *pod) token(ctx context.Context, projection *corev1.ServiceAccountTokenProjection) (string, error) {
	if known, ok := p.tokens[projection.Path]; ok && time.Now().Before(known.renew) {
		return known.token, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: projection.ExpirationSeconds}}
	if projection.Audience != "" {
		request.Spec.Audiences = []string{projection.Audience}
	}
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = p.object.Namespace, p.object.Spec.ServiceAccountName
	if err := p.agent.client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", err
	}
	now := time.Now()
	half := request.Status.ExpirationTimestamp.Sub(now) / 2 //nolint:mnd // A half is a half.
	p.tokens[projection.Path] = token{token: request.Status.Token, renew: now.Add(half)}
	return request.Status.Token, nil
}
