package trial

import (
	"github.com/crossplane/function-sdk-go/errors"

	"github.com/dittofs/function-dittoserver/internal/server"
)

// Spec of a server as a person writes it; percona is spec.percona.
func Spec(percona map[string]any) map[string]any {
	return map[string]any{"storage": map[string]any{"metadataSize": "10Gi"}, "percona": percona}
}

// Keys of everything that a server composes.
func Keys() []server.Key {
	return []server.Key{
		server.KeyCluster, server.KeyJWTSecret, server.KeyAdminCredentials, server.KeyConfig, server.KeyHeadlessService,
		server.KeyAPIService, server.KeyNFSService, server.KeySMBService, server.KeyNetworkPolicy, server.KeyConnection, server.KeyStatefulSet,
	}
}

// Begin with some actions. The trial given is left as it is.
func (t *Trial) Begin(actions ...Action) (*Trial, error) {
	t = t.Clone()
	for _, a := range actions {
		if err := a.Do(t); err != nil {
			return nil, errors.Wrapf(err, "cannot %s", a.Name)
		}
	}

	return t, nil
}

// Scopes that are explored exhaustively, from a world without a server. Each
// is closed under its actions; together they cover the axes of the world one
// by one and in the pairs that touch each other. All of them at once would be
// more states than a test has time for.
func Scopes(empty *Trial) ([]Scope, error) {
	on := func(extra ...any) Action {
		p := map[string]any{"enabled": true}
		for i := 0; i+1 < len(extra); i += 2 {
			p[extra[i].(string)] = extra[i+1] //nolint:forcetypeassert // Callers below.
		}

		return CreateXR(Spec(p))
	}
	off := CreateXR(Spec(map[string]any{"enabled": false}))
	installed := InstallPercona()

	scopes := []struct {
		Scope

		starts [][]Action
	}{
		{
			// The operator comes late; the database fails over; its Secret is
			// absent, incomplete, rotating, rotated.
			Scope{Name: "life", Actions: []Action{installed, Restart(), Rotate(), Strip("host"), DeleteSecret("-pguser-dittofs")}},
			[][]Action{{on()}},
		},
		{
			Scope{Name: "pause", Actions: []Action{EditCluster("pause"), Unpause(), Restart()}},
			[][]Action{{installed, on()}, {installed, on("updatePolicy", "Always")}},
		},
		{
			Scope{Name: "switch", Actions: []Action{installed, TogglePercona("enabled"), Restart()}},
			[][]Action{{on()}, {off}},
		},
		{
			// A running server may move, and be moved back.
			Scope{Name: "move", Actions: []Action{
				TogglePercona("enabled").Times(2), Set("percona", "database", "allowChangeTo"), Set("sqlite", "database", "allowChangeTo"),
			}},
			[][]Action{{installed, off}},
		},
		{
			// It is led to another database of the same kind.
			Scope{Name: "elsewhere", Actions: []Action{
				Set("/data/controlplane/other.db", "database", "sqlite", "path"), Set("/data/controlplane/controlplane.db", "database", "sqlite", "path"),
				Set("other", "percona", "databaseName"), Set("dittofs", "percona", "databaseName"), Delete(server.KeyStatefulSet).Times(1),
			}},
			[][]Action{{off}, {installed, on()}, {installed, on("updatePolicy", "Always")}},
		},
		{
			Scope{Name: "monitoring", Actions: []Action{
				Set(true, "metrics", "enabled"), Set(false, "metrics", "enabled"), Set(true, "metrics", "serviceMonitor", "enabled"), InstallPrometheus().Times(1),
			}},
			[][]Action{{off}},
		},
		{
			Scope{Name: "external", Actions: []Action{ProvideExternal(), StripExternal("password"), StripExternal("")}},
			[][]Action{{off, Set("postgres", "database", "type"), Set(externalSecret, "database", "postgresSecretRef", "name")}},
		},
		{
			Scope{Name: "loss", Actions: []Action{
				Delete(server.KeyCluster).Times(1), DeleteSecret("-cluster-cert").Times(1), Delete(server.KeyStatefulSet).Times(1),
			}},
			[][]Action{{installed, on()}},
		},
		{
			Scope{Name: "secrets", Actions: []Action{
				Delete(server.KeyJWTSecret), Delete(server.KeyAdminCredentials), Delete(server.KeyConnection),
				Delete(server.KeyStatefulSet), DeleteClaims(),
			}},
			[][]Action{{off}},
		},
		{
			Scope{Name: "edits", Actions: []Action{EditCluster("replicas"), EditCluster("upgrade"), EditCluster("backup"), EditCluster("removal")}},
			[][]Action{{installed, on()}},
		},
		{
			Scope{Name: "policy", Actions: []Action{TogglePolicy(), EditCluster("replicas"), EditCluster("upgrade")}},
			[][]Action{{installed, on()}},
		},
		{
			Scope{Name: "retention", Actions: []Action{TogglePercona("deleteWithServer").Times(2), Delete(server.KeyCluster).Times(1)}},
			[][]Action{{installed, on()}},
		},
		{
			Scope{Name: "again", Actions: []Action{DeleteXR(), on()}},
			[][]Action{{installed, on()}},
		},
		{
			Scope{Name: "again and gone", Actions: []Action{DeleteXR().Times(1), on("deleteWithServer", true)}},
			[][]Action{{installed, on("deleteWithServer", true)}},
		},
		{
			Scope{Name: "stale", Stale: true, Actions: []Action{Restart(), Rotate(), EditCluster("replicas")}},
			[][]Action{{installed, on()}},
		},
		{
			Scope{Name: "crash", Crash: true, Actions: []Action{Rotate()}},
			[][]Action{{installed, on()}, {off}},
		},
	}
	for _, k := range Keys() {
		for _, how := range []string{Uncontrolled, Controlled, Survivor} {
			create := off
			if k == server.KeyCluster {
				create = on()
			}
			scopes = append(scopes, struct {
				Scope

				starts [][]Action
			}{
				Scope{Name: how + " " + string(k), Actions: []Action{Adopt(k), Remove(k)}},
				[][]Action{{installed, Plant(k, how), create}},
			})
		}
	}

	out := make([]Scope, 0, len(scopes))
	for _, s := range scopes {
		for _, actions := range s.starts {
			t, err := empty.Begin(actions...)
			if err != nil {
				return nil, err
			}
			s.Starts = append(s.Starts, t)
		}
		out = append(out, s.Scope)
	}

	return out, nil
}
