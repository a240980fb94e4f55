// Package world is a small model of what surrounds a composition function: an
// API server with real server-side apply, Crossplane's reconcile loop, the
// garbage collector of Kubernetes, the StatefulSet controller, the Percona
// operator, and people. Tests run the function in it and look at everything
// that happens.
//
// The model is deterministic, keeps everything in memory and is cheap to
// clone: objects are immutable versions, so that a clone shares them and an
// exhaustive exploration can hold thousands of worlds. What it leaves out on
// purpose: other pipeline steps, RBAC, webhooks, time.
//
// Sources: crossplane v2.4.0 internal/controller/apiextensions/composite and
// internal/xfn, k8s.io/apiserver v0.35.3 pkg/registry, and percona
// v2.9.0 percona/controller/pgcluster. Field management is not modelled: it is
// k8s.io/apimachinery/pkg/util/managedfields itself.
package world
