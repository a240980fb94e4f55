// Package percona knows the PerconaPGCluster of a DittoServer: what it and its
// Secrets are called, what can be asked of it, how its spec is built, when it is
// ready, and what to send for one that is live without taking anything from the
// people and operators who also write to it.
//
// Facts are those of the Percona operator for PostgreSQL 2.9.0, whose own Go
// types are used. Everything here is a pure function; none changes its
// arguments, and all are safe for concurrent use.
package percona
