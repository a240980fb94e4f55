package main

import (
	"context"
	"errors"
	"time"

	"github.com/crossplane/function-sdk-go/logging"
	fnv1 "github.com/crossplane/function-sdk-go/proto/v1"
	"github.com/crossplane/function-sdk-go/response"

	"github.com/dittofs/function-dittoserver/internal/condition"
	"github.com/dittofs/function-dittoserver/internal/database"
	"github.com/dittofs/function-dittoserver/internal/desired"
	"github.com/dittofs/function-dittoserver/internal/dittofs"
	"github.com/dittofs/function-dittoserver/internal/logged"
	"github.com/dittofs/function-dittoserver/internal/observed"
	"github.com/dittofs/function-dittoserver/internal/server"
	"github.com/dittofs/function-dittoserver/internal/status"
)

// refusedTTL is how soon a refused server is looked at again: what it was
// refused for may be gone.
const refusedTTL = 15 * time.Second

// Function composes DittoFS servers.
type Function struct {
	fnv1.UnimplementedFunctionRunnerServiceServer

	log logging.Logger
}

// RunFunction composes one DittoServer into everything that it needs: first a
// PostgreSQL cluster, if it asks for one, and once that can be used, the
// StatefulSet that runs the server on it.
func (f *Function) RunFunction(_ context.Context, req *fnv1.RunFunctionRequest) (*fnv1.RunFunctionResponse, error) {
	rsp := response.To(req, refusedTTL)
	refuse := func(reason string, err error) (*fnv1.RunFunctionResponse, error) {
		f.log.Info("Refused a server", append(logged.Values(req), "reason", reason, "error", err.Error())...)

		return status.Refuse(rsp, server.Observed(req), reason, err), nil
	}

	// What the user and the platform want, checked.
	srv, err := server.Resolve(req)
	if err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}

	// What exists, what is absent, and what is still unknown.
	seen := observed.From(req, srv)
	rsp.Requirements = seen.Requirements()
	if err := errors.Join(seen.Missing(), seen.Mismatched()); err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}
	if err := seen.Taken(); err != nil {
		return refuse(condition.ReasonNameTaken, err)
	}

	// Secrets that are made once, and never again (R4).
	creds := dittofs.NewCredentials(srv, seen)

	// SQLite, a PostgreSQL that exists, or one of our own; usable or not, and
	// why (R1, R6, R7, R22).
	db, err := database.For(srv, seen, !creds.Settled)
	if err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}

	// The file that the server reads, and the hash that rolls its pod (R3).
	cfg, err := dittofs.NewConfig(srv, seen, db, creds)
	if err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}

	// The pod: created once everything that it needs is there, and kept
	// whatever the database does (R1, R3, R5, R13).
	work, err := dittofs.NewWorkload(srv, seen, db, creds, cfg)
	if err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}

	// Nothing is composed under a name that may be somebody else's (R23).
	want := desired.NewSet(seen.MayCompose)
	want.Add(db.Objects()...)
	want.Add(creds.Objects()...)
	want.Add(dittofs.Network(srv, seen)...)
	want.Add(cfg.Object(work.Keep), dittofs.Connection(srv, seen, creds, work))
	want.Add(work.Objects()...)
	if err := want.Into(rsp); err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}

	// What a person is told (R15, R16, R17).
	report := status.Report{Server: srv, Seen: seen, Database: db, Credentials: creds, Config: cfg, Workload: work, Held: want.Held(), Unready: want.Unready()}
	if err := report.Into(rsp); err != nil {
		return refuse(condition.ReasonInvalidSpec, err)
	}
	f.log.Debug("Composed a server", append(logged.Values(req), "database", db.ID, "started", work.Start, "held", report.Held, "unready", report.Unready)...)

	return rsp, nil
}
