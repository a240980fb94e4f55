// Package condition holds what a person is told: the types and reasons of
// conditions (R16). Their texts are stable: no timestamps, no counters.
package condition

import (
	"slices"
	"strings"
)

// Types of conditions. Every one is reported on every call: Crossplane never
// removes one.
const (
	TypeAvailable        = "Available"
	TypeConfigReady      = "ConfigReady"
	TypeDatabaseReady    = "DatabaseReady"
	TypeDatabaseUpToDate = "DatabaseUpToDate"
	TypeMonitoringReady  = "MonitoringReady"
	TypeProgressing      = "Progressing"
	TypeStorageUpToDate  = "StorageUpToDate"
)

// Types in the order in which they are reported.
func Types() []string {
	return []string{
		TypeAvailable, TypeConfigReady, TypeDatabaseReady, TypeDatabaseUpToDate,
		TypeMonitoringReady, TypeProgressing, TypeStorageUpToDate,
	}
}

// Reasons of DatabaseReady.
const (
	ReasonPerconaReady                = "PerconaReady"
	ReasonExternal                    = "External"
	ReasonEmbedded                    = "Embedded"
	ReasonPerconaOperatorNotInstalled = "PerconaOperatorNotInstalled"
	ReasonPerconaCreating             = "PerconaCreating"
	ReasonPerconaNotReady             = "PerconaNotReady"
	ReasonPerconaPaused               = "PerconaPaused"
	ReasonConnectionSecretNotFound    = "ConnectionSecretNotFound"
	ReasonConnectionSecretIncomplete  = "ConnectionSecretIncomplete"
	ReasonDatabaseChangeRefused       = "DatabaseChangeRefused"
)

// Reasons of DatabaseUpToDate.
const (
	ReasonMatches         = "Matches" // Of StorageUpToDate too.
	ReasonNotManaged      = "NotManaged"
	ReasonSpecDiffers     = "SpecDiffers"
	ReasonChangeRefused   = "ChangeRefused"
	ReasonOnDeleteDiffers = "OnDeleteDiffers"
)

// Reasons of ConfigReady.
const (
	ReasonConfigRendered    = "ConfigRendered"
	ReasonSecretNotFound    = "SecretNotFound"
	ReasonSecretKeyMissing  = "SecretKeyMissing"
	ReasonSecretInvalid     = "SecretInvalid"
	ReasonCASecretNotFound  = "CASecretNotFound"
	ReasonReferenceNotFound = "ReferenceNotFound"
	ReasonAdminPasswordLost = "AdminPasswordLost"
	ReasonNameTaken         = "NameTaken"
	ReasonInvalidSpec       = "InvalidSpec"
)

// Reasons of MonitoringReady.
const (
	ReasonNotRequested                   = "NotRequested"
	ReasonServiceMonitorComposed         = "ServiceMonitorComposed"
	ReasonPrometheusOperatorNotInstalled = "PrometheusOperatorNotInstalled"
)

// Reasons of Available.
const (
	ReasonMinimumReplicasAvailable = "MinimumReplicasAvailable"
	ReasonStopped                  = "Stopped"
	ReasonWaitingForDatabase       = "WaitingForDatabase" // Of ConfigReady and Progressing too.
	ReasonWaitingForConfig         = "WaitingForConfig"
	ReasonNoReplicasAvailable      = "NoReplicasAvailable"
)

// Reasons of Progressing.
const (
	ReasonRollingOut = "RollingOut"
	ReasonScaling    = "Scaling"
	ReasonConverged  = "Converged"
)

// Reasons of StorageUpToDate.
const (
	ReasonExpansionRequired     = "ExpansionRequired"
	ReasonImmutableFieldChanged = "ImmutableFieldChanged"
	ReasonStorageClassNotFound  = "StorageClassNotFound"
)

// Reasons are all that conditions have, each once.
func Reasons() []string {
	return []string{
		ReasonPerconaReady, ReasonExternal, ReasonEmbedded, ReasonPerconaOperatorNotInstalled, ReasonPerconaCreating,
		ReasonPerconaNotReady, ReasonPerconaPaused, ReasonConnectionSecretNotFound, ReasonConnectionSecretIncomplete,
		ReasonDatabaseChangeRefused,
		ReasonMatches, ReasonNotManaged, ReasonSpecDiffers, ReasonChangeRefused, ReasonOnDeleteDiffers,
		ReasonConfigRendered, ReasonSecretNotFound, ReasonSecretKeyMissing, ReasonSecretInvalid, ReasonCASecretNotFound,
		ReasonReferenceNotFound, ReasonAdminPasswordLost, ReasonNameTaken, ReasonInvalidSpec,
		ReasonNotRequested, ReasonServiceMonitorComposed, ReasonPrometheusOperatorNotInstalled,
		ReasonMinimumReplicasAvailable, ReasonStopped, ReasonWaitingForDatabase, ReasonWaitingForConfig, ReasonNoReplicasAvailable,
		ReasonRollingOut, ReasonScaling, ReasonConverged,
		ReasonExpansionRequired, ReasonImmutableFieldChanged, ReasonStorageClassNotFound,
	}
}

// A Condition is what a person is told about one side of a server.
type Condition struct {
	Type    string
	True    bool
	Reason  string
	Message string
}

// True is a condition that holds.
func True(typ, reason, message string) Condition {
	return Condition{Type: typ, True: true, Reason: reason, Message: message}
}

// False is a condition that does not hold; its message says what to do.
func False(typ, reason, message string) Condition {
	return Condition{Type: typ, Reason: reason, Message: message}
}

// A Problem is one thing that keeps a condition from holding.
type Problem struct {
	Reason  string
	Message string
}

// FromProblems is false with the first problem's reason and the text of all of
// them; without any it is the condition given.
func FromProblems(ok Condition, problems []Problem) Condition {
	if len(problems) == 0 {
		return ok
	}
	messages := make([]string, 0, len(problems))
	for _, p := range problems {
		if !slices.Contains(messages, p.Message) {
			messages = append(messages, p.Message)
		}
	}

	return False(ok.Type, problems[0].Reason, strings.Join(messages, "; "))
}
