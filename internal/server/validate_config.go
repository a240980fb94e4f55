package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/dittofs/function-dittoserver/internal/redact"
)

// configFields are the settings of the server that belong to the function, and
// what to do instead of setting them in spec.config. Of a section all is
// refused, also what no field of the spec leads to.
var configFields = map[string]string{ //nolint:gochecknoglobals // A constant in all but syntax.
	"admin":             "set spec.identity.admin" + noField,
	"controlplane.host": "the server listens on all addresses of its pod; remove it",
	"controlplane.jwt":  "set spec.identity.jwt" + noField,
	"controlplane.port": "set spec.controlPlane.port",
	"controlplane.tls":  "set spec.controlPlane.certSecretName and clientCASecretName" + noField,
	"database":          "set spec.database or spec.percona" + noField,
	"kerberos":          "set spec.identity.kerberos" + noField,
	"ldap":              "set spec.identity.ldap" + noField,
	"logging":           "set spec.logging" + noField,
	"metrics":           "set spec.metrics" + noField,
}

// noField is what to do about the rest of a section.
const noField = ", and remove what has no field there"

// validateConfig refuses settings that belong to the function, and secrets.
// The server's loader knows no difference between upper and lower case, and
// takes a dot for the way down (dittofs v0.29.0 pkg/config/config.go, viper).
func validateConfig(p *field.Path, config *runtime.RawExtension, grace int64) field.ErrorList {
	if config == nil || len(config.Raw) == 0 {
		return nil
	}
	var settings map[string]any
	if err := json.Unmarshal(config.Raw, &settings); err != nil {
		return field.ErrorList{field.Invalid(p, field.OmitValueType{}, "must be an object, like the server's config.yaml")}
	}

	errs := validateSettings(p, "", settings)
	errs = append(errs, validateShutdown(p.Child("shutdown_timeout"), settings["shutdown_timeout"], grace)...)
	for _, name := range sortedKeys(settings) {
		_, isMap := settings[name].(map[string]any)
		switch lower := strings.ToLower(name); {
		case lower != "controlplane" && lower != "shutdown_timeout":
		case name != lower:
			// Both would be in the file, and it is a matter of chance which is read.
			errs = append(errs, field.Invalid(p.Child(name), name, "must be in lower case, as the function writes it: "+lower))
		case name == "controlplane" && !isMap:
			errs = append(errs, field.Invalid(p.Child(name), field.OmitValueType{}, "must be an object: what the function says in it would be lost"))
		}
	}

	return errs
}

// validateShutdown checks how long the server may take to close connections. It
// takes a bare number for nanoseconds, and ends after up to three times as long
// and five seconds (dittofs v0.29.0 cmd/dfs/commands/start.go); its pod waits
// for five seconds before.
func validateShutdown(p *field.Path, value any, grace int64) field.ErrorList {
	if value == nil {
		return nil
	}
	text, _ := value.(string)
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return field.ErrorList{field.Invalid(p, redact.Bad("shutdown_timeout", value), "must be a duration greater than zero with units, like 30s")}
	}
	if least := int64((3*d + 10*time.Second).Seconds()); least > grace {
		return field.ErrorList{field.Invalid(p, value, fmt.Sprintf("the server would be killed before it has ended: set spec.terminationGracePeriodSeconds to %d or more, or choose a shorter time", least))}
	}

	return nil
}

// validateSettings at a path in the file, which is in lower case.
func validateSettings(p *field.Path, path string, settings map[string]any) field.ErrorList {
	var errs field.ErrorList
	first := map[string]string{}
	for _, name := range sortedKeys(settings) {
		lower := strings.ToLower(name)
		at, below := p.Child(name), strings.TrimPrefix(path+"."+lower, ".")
		if name == "" || name == "<<" || strings.Contains(name, ".") {
			errs = append(errs, field.Invalid(p.Key(name), name, "must be the name of one setting, without dots: write what is below it as an object"))

			continue
		}
		if other, repeated := first[lower]; repeated {
			errs = append(errs, field.Invalid(at, name, "is the same setting as "+other+": the server does not tell upper and lower case apart, remove one"))
		}
		first[lower] = name

		if remedy, refused := configFields[below]; refused {
			errs = append(errs, field.Forbidden(at, "this setting belongs to the function and cannot be set here: "+remedy))

			continue
		}
		if slices.Contains([]string{"password", "secret", "token"}, lower) {
			errs = append(errs, field.Forbidden(at, "a DittoServer is no place for secrets: put it into a Secret"+variable(below)))

			continue
		}
		errs = append(errs, validateSetting(at, below, settings[name])...)
	}

	return errs
}

func validateSetting(p *field.Path, path string, value any) field.ErrorList {
	switch value := value.(type) {
	case map[string]any:
		return validateSettings(p, path, value)
	case []any:
		var errs field.ErrorList
		for i, item := range value {
			errs = append(errs, validateSetting(p.Index(i), path+"[]", item)...)
		}

		return errs
	}

	return nil
}

// variable says which variable of the environment the server reads a setting
// from: every one has its own, but for those in lists.
func variable(path string) string {
	name := "DITTOFS_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
	if strings.Contains(path, "[]") || isOwnVariable(name) {
		return ""
	}

	return ", and refer to that in spec.pod.extraEnv as " + name
}
