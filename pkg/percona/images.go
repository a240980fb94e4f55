package percona

import (
	"strings"

	"github.com/dittofs/function-dittoserver/apis/v1alpha1"
)

// DefaultCRVersion is the release of the Percona operator that a cluster behaves
// like if nobody says another one, and that DefaultImages belong to. It is always
// sent: operator 2.9.0 ends ten seconds after each start while there is a cluster
// without one, and gives it one only when it has been up for a minute (percona
// v2.9.0 percona/controller/pgcluster/standby.go, pollAndRequeueStandbys). A live
// cluster keeps the one that it has.
const DefaultCRVersion = "2.9.0"

// DefaultImages returns the images that belong to DefaultCRVersion and
// that major version of PostgreSQL (percona v2.9.0 e2e-tests/release_versions).
// Postgres is empty for a version that the operator has no image for.
func DefaultImages(postgresVersion int32) v1alpha1.PerconaImages {
	images := v1alpha1.PerconaImages{
		PGBackRest: "docker.io/percona/percona-pgbackrest:2.58.0-1",
		PGBouncer:  "docker.io/percona/percona-pgbouncer:1.25.1-1",
	}
	if tag := defaultTag(postgresVersion); tag != "" {
		images.Postgres = "docker.io/percona/percona-distribution-postgresql:" + tag
	}
	return images
}

func defaultTag(postgresVersion int32) string {
	switch postgresVersion {
	case 14:
		return "14.22-1"
	case 15:
		return "15.17-1"
	case 16:
		return "16.13-1"
	case 17:
		return "17.9-1"
	case 18:
		return "18.3-1"
	default:
		return ""
	}
}

// PostgresMajor returns the major version of PostgreSQL that an image's tag
// names, or false if the tag names none: 17 for
// percona-distribution-postgresql:17.9-1 and, as images were called up to
// operator 2.7, for percona-postgresql-operator:2.5.1-ppg17.2-postgres.
func PostgresMajor(image string) (int32, bool) {
	image, _, _ = strings.Cut(image, "@")
	_, tag, ok := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	if !ok {
		return 0, false
	}
	if _, after, found := strings.Cut(tag, "ppg"); found {
		tag = after
	}

	// Two digits, no more: 2024 is a date, 9 is older than any operator.
	if len(tag) < 2 || !isDigit(tag[0]) || !isDigit(tag[1]) {
		return 0, false
	}
	if len(tag) > 2 && isDigit(tag[2]) {
		return 0, false
	}
	return int32(tag[0]-'0')*10 + int32(tag[1]-'0'), true
}

func isDigit(c byte) bool {
	return c >= '0' && c <= '9'
}
