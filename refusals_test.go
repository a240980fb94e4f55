package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/observed"
)

// permitted is an Input under which a platform allows everything.
func permitted() []any {
	return []any{"policy", object{"allowPerconaOverrides": true, "allowServiceAccount": true, "podSecurity": "privileged"}}
}

// TestR09WhatStopsTheApplyIsRefused: to Crossplane a request that fails, or an
// object that stays invalid, is the end of every other step.
func TestR09WhatStopsTheApplyIsRefused(t *testing.T) {
	resourceRef := func(edits ...any) []any {
		return []any{object{"name": "A", "valueFrom": object{"resourceFieldRef": edit(object{"resource": "limits.cpu"}, edits...)}}}
	}
	sidecars := func(env ...any) object {
		return object{"proxy": object{"pgBouncer": object{"sidecars": []any{object{"name": "a", "image": "x", "env": env}}}}}
	}
	volume := func(source string, content object) []any { return []any{object{"name": "x", source: content}} }

	cases := map[string]struct {
		reason string
		path   string
		value  any
		at     string // Where the refusal leads, below path.
	}{
		"RepeatedVariable": {reason: "For server-side apply a repeated key is no invalid object.", path: "percona.overrides", value: sidecars(object{"name": "A", "value": "1"}, object{"name": "A", "value": "2"}), at: ".proxy.pgBouncer.sidecars[0].env[1].name"},
		"Claims":           {reason: "The pod has no claims to offer.", path: "resources.claims", value: []any{object{"name": "gpu"}}},
		"Resource":         {reason: "Nobody provides it.", path: "resources.requests", value: object{"nonsense": "1"}, at: "[nonsense]"},
		"Device":           {reason: "A device is not overcommitted.", path: "resources.requests", value: object{"example.org/gpu": "1"}, at: "[example.org/gpu]"},
		"Divisor":          {reason: "There are few.", path: "pod.extraEnv", value: resourceRef("divisor", "3"), at: "[0].valueFrom.resourceFieldRef.divisor"},
		"Container":        {reason: "The pod would not start.", path: "pod.extraEnv", value: resourceRef("containerName", "nope"), at: "[0].valueFrom.resourceFieldRef.containerName"},
		"Annotation":       {reason: "It is no key.", path: "pod.extraEnv", value: []any{object{"name": "A", "valueFrom": object{"fieldRef": object{"fieldPath": "metadata.annotations['not valid']"}}}}, at: "[0].valueFrom.fieldRef.fieldPath"},
		"Profile":          {reason: "A profile on the node has a name.", path: "securityContext.seccompProfile", value: object{"type": "Localhost"}, at: ".localhostProfile"},
		"User":             {reason: "Nobody is called so.", path: "podSecurityContext.runAsUser", value: -5},
		"Group":            {reason: "Nor is a group.", path: "podSecurityContext.fsGroup", value: -5},
		"Groups":           {reason: "Nor are others.", path: "podSecurityContext.supplementalGroups", value: []any{-1}, at: "[0]"},
		"Driver":           {reason: "No driver is called so.", path: "pod.extraVolumes", value: volume("csi", object{"driver": "not a driver!"}), at: "[0].csi.driver"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := servingOnPercona(t, withPercona("spec.percona.pgBouncer.enabled", true)).withInput(permitted()...)
			before := s.rest(t)
			s.editXR("spec."+tc.path, tc.value)
			rsp := s.response(t)
			if want, got := "spec."+tc.path+tc.at+": ", fatal(rsp); !strings.Contains(got, want) {
				t.Errorf("%s\nwant a refusal of %q, got %q", tc.reason, want, got)
			}
			if want, got := "False "+condition.ReasonInvalidSpec, conditionOf(rsp, condition.TypeConfigReady); want != got {
				t.Errorf("%s\n-want, +got:\n-%s\n+%s", tc.reason, want, got)
			}
			if fatal(before) != "" {
				t.Errorf("%s\nthe server was refused before: %s", tc.reason, fatal(before))
			}
		})
	}
}

// TestContainerOfAVariable: the one container that a variable may ask about is
// the server's.
func TestContainerOfAVariable(t *testing.T) {
	env := []any{object{"name": "A", "valueFrom": object{"resourceFieldRef": object{"resource": "limits.cpu", "containerName": observed.ContainerName}}}}
	s := serving(t, namespaced("spec.pod.extraEnv", env))
	if got := fatal(s.response(t)); got != "" {
		t.Errorf("the server's own container is refused: %s", got)
	}
}

// Values that look like secrets, in a server that keeps them where it should
// not. Each is found wherever it turns up.
const leakMark = "zq7leak"

// leakySpecs are specs that are wrong in one place and have values in others,
// by name.
func leakySpecs() map[string][]any {
	mark := leakMark
	env := func(edits ...any) []any {
		return []any{object{"name": "TOKEN", "value": mark}, edit(object{"name": "B"}, edits...)}
	}
	overrides := func(v any) []any { return []any{"spec.percona.overrides", v} }

	return map[string][]any{
		"EnvDivisor":       {"spec.pod.extraEnv", env("valueFrom", object{"resourceFieldRef": object{"resource": "limits.cpu", "divisor": "1e.5"}})},
		"EnvNumber":        {"spec.pod.extraEnv", []any{object{"name": "A", "value": mark}, object{"name": "B", "value": 7}}},
		"EnvText":          {"spec.pod.extraEnv", mark},
		"EnvTexts":         {"spec.pod.extraEnv", []any{"PASSWORD=" + mark}},
		"EnvMap":           {"spec.pod.extraEnv", object{"PASSWORD": mark}},
		"EnvAssigned":      {"spec.pod.extraEnv", []any{object{"name": "PASSWORD=" + mark}}},
		"EnvOwnAssigned":   {"spec.pod.extraEnv", []any{object{"name": "DATABASE_URL=" + mark}, object{"name": "DATABASE_URL=" + mark}}},
		"EnvTwice":         {"spec.pod.extraEnv", []any{object{"name": "A", "value": mark}, object{"name": "A", "value": mark}}},
		"EnvBoth":          {"spec.pod.extraEnv", env("value", mark, "valueFrom", object{"fieldRef": object{"fieldPath": "metadata.name"}})},
		"EnvOwn":           {"spec.pod.extraEnv", []any{object{"name": "DITTOFS_ADMIN_PASSWORD", "value": mark}}},
		"EnvSecret":        {"spec.pod.extraEnv", env("valueFrom", object{"secretKeyRef": mark})},
		"PasswordAsText":   {"spec.identity.admin.passwordSecretRef", mark},
		"TokenKeyAsText":   {"spec.identity.jwt.secretRef", mark},
		"BindAsText":       {"spec.identity.ldap", object{"enabled": true, "bindPasswordSecretRef": mark}},
		"URLWithPassword":  {"spec.identity.ldap", object{"enabled": true, "url": "ldap://reader:" + mark + "@dc", "baseDN": "DC=a", "bindDN": "CN=a", "bindPasswordSecretRef": object{"name": "a", "key": "b"}}},
		"URLWithPath":      {"spec.identity.ldap", object{"enabled": true, "url": "ldaps://reader:" + mark + "@dc/a", "baseDN": "DC=a", "bindDN": "CN=a", "bindPasswordSecretRef": object{"name": "a", "key": "b"}}},
		"VolumeAttributes": {"spec.pod.extraVolumes", []any{object{"name": "x", "csi": object{"driver": "!", "volumeAttributes": object{"password": mark}}}}},
		"VolumeType":       {"spec.pod.extraVolumes", []any{object{"name": "x", "csi": object{"driver": "d", "volumeAttributes": []any{mark}}}}},
		"ConfigText":       {"spec.config", mark},
		"ConfigList":       {"spec.config", []any{mark}},
		"ConfigPassword":   {"spec.config", object{"blockstore": object{"password": mark}}},
		"ConfigSection":    {"spec.config", object{"database": object{"postgres": mark}}},
		"ConfigDots":       {"spec.config", object{"a.b": mark}},
		"ConfigScalar":     {"spec.config", object{"controlplane": mark}},
		"ConfigTimeout":    {"spec.config", object{"shutdown_timeout": []any{mark}}},
		"ConfigAssignment": {"spec.config", object{"shutdown_timeout": "password=" + mark}},
		"ParameterLines":   {"spec.percona.parameters", object{"vault.key": mark + "\n" + mark}},
		"ParameterName":    {"spec.percona.parameters", object{"Vault": mark}},
		"ParameterOwn":     {"spec.percona.parameters", object{"primary_conninfo": mark}},
		"ParameterNumber":  {"spec.percona.parameters", object{"a": mark, "b": 7}},
		"ParametersText":   {"spec.percona.parameters", mark},
		"OverridesText":    overrides(mark),
		"OverridesList":    overrides([]any{mark}),
		"OverridesUnknown": overrides(object{"nonsense": mark}),
		"OverridesType":    overrides(object{"port": mark}),
		"OverridesOption":  overrides(object{"backups": object{"pgbackrest": object{"global": object{"repo1-cipher-pass": object{"a": mark}}}}}),
		"OverridesEnv":     overrides(object{"proxy": object{"pgBouncer": object{"sidecars": []any{object{"name": "a", "env": []any{object{"name": "A", "value": mark}, object{"name": "A", "value": mark}}}}}}}),
		"OverridesPort":    overrides(object{"proxy": object{"pgBouncer": object{"sidecars": []any{object{"name": "a", "env": []any{object{"name": "A", "value": mark}}, "ports": mark}}}}}),
		"OverridesUsers":   overrides(object{"users": []any{object{"name": "a", "options": mark}}}),
		"OverridesSets":    overrides(object{"instances": object{"password": mark}}),
		"OverridesPatroni": overrides(object{"patroni": object{"dynamicConfiguration": object{"postgresql": object{"parameters": object{"archive_command": mark}}}}}),
		"OverridesLines":   overrides(object{"patroni": object{"dynamicConfiguration": object{"postgresql": object{"parameters": object{"vault.pem": mark + "\n"}}}}}),
	}
}

// TestR19RefusalsKeepSecrets: whatever is wrong with a spec, its values do not
// get where more people read than may read the server.
func TestR19RefusalsKeepSecrets(t *testing.T) {
	for name, edits := range leakySpecs() {
		t.Run(name, func(t *testing.T) {
			s := newSituation(withPercona(edits...)).withInput(permitted()...)
			rsp, told := s.told(t)
			if fatal(rsp) == "" {
				t.Errorf("it is not refused")
			}
			if strings.Contains(told, leakMark) {
				t.Errorf("a value is told: %s", told)
			}
		})
	}
}

// TestR19DifferencesKeepSecrets: nor do those of the live cluster, or those
// that are asked for and not there.
func TestR19DifferencesKeepSecrets(t *testing.T) {
	secrets := func(which string) object {
		value := leakMark + which

		return object{
			"backups": object{"pgbackrest": object{"global": object{"repo1-cipher-pass": value, "repo1-s3-key": value, "repo1-s3-key-secret": value, "repo1-s3-token": value}}},
			"proxy":   object{"pgBouncer": object{"sidecars": []any{object{"name": "a", "image": "x", "args": []any{"--password=" + value}, "env": []any{object{"name": "PLAIN", "value": value}}}}}},
			"patroni": object{"dynamicConfiguration": object{"postgresql": object{"parameters": object{"vault.api_key": value, "vault.dsn": "https://me:" + value + "@vault"}}}},
		}
	}
	backup := object{"enabled": true, "bucket": "b"}

	for _, policy := range []string{"OnCreate", "Always"} {
		for name, change := range map[string]func(s *situation){
			"Asked":    func(s *situation) { s.editXR("spec.percona.overrides", secrets("asked")) },
			"Withdraw": func(s *situation) { s.editXR("spec.percona.overrides", nil) },
			"Live": func(s *situation) {
				s.takeOver(
					"spec.backups.pgbackrest.global.repo1-cipher-pass", leakMark+"live",
					"spec.proxy.pgBouncer.sidecars", secrets("live")["proxy"].(object)["pgBouncer"].(object)["sidecars"], //nolint:forcetypeassert // It was made above.
					"spec.patroni.dynamicConfiguration", object{"postgresql": object{"authentication": object{"superuser": object{"password": leakMark}}}},
				)
			},
		} {
			t.Run(policy+name, func(t *testing.T) {
				s := newSituation(withPercona("spec.percona.backup", backup, "spec.percona.pgBouncer.enabled", true, "spec.percona.overrides", secrets("first"))).withInput(permitted()...)
				if f := fatal(s.rest(t)); f != "" {
					t.Fatal(f)
				}
				s.editXR("spec.percona.updatePolicy", policy)
				change(s)
				rsp, told := s.told(t)
				if policy == "OnCreate" && conditionOf(rsp, condition.TypeDatabaseUpToDate) != "False "+condition.ReasonSpecDiffers {
					t.Errorf("no difference is told: %s", messageOf(rsp, condition.TypeDatabaseUpToDate))
				}
				if strings.Contains(told, leakMark) {
					t.Errorf("a value is told: %s", told)
				}
			})
		}
	}
}

// told is all that a person is told of a situation: conditions, events, status
// and the log.
func (s *situation) told(t *testing.T) (*fnv1.RunFunctionResponse, string) {
	t.Helper()
	req, _, _ := s.settle(t)
	var lines []string
	rsp, err := (&Function{log: transcript{lines: &lines}}).RunFunction(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}

	return rsp, strings.Join(append(lines, fmt.Sprint(rsp.GetResults()), fmt.Sprint(rsp.GetConditions()), fmt.Sprint(reported(rsp))), "\n")
}
