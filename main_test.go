package main

import (
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

func TestCLI(t *testing.T) {
	defaults := CLI{Network: "tcp", Address: ":9443", MaxRecvMessageSize: 4, MetricsAddress: ":8080", HealthAddress: ":8081"}

	cases := map[string]struct {
		reason string
		env    map[string]string
		args   []string
		want   func(c *CLI)
	}{
		"Defaults": {
			reason: "Crossplane calls port 9443, and calls port 8080 of the pod metrics.",
			want:   func(*CLI) {},
		},
		"AsCrossplaneStartsIt": {
			reason: "Crossplane's package manager names the certificates by this variable.",
			env:    map[string]string{"TLS_SERVER_CERTS_DIR": "/tls/server"},
			want:   func(c *CLI) { c.TLSCertsDir = "/tls/server" },
		},
		"Development": {
			reason: "The flags of function-template-go, and an empty address for what is not wanted.",
			args:   []string{"--insecure", "-d", "--address", "127.0.0.1:9444", "--metrics-address", "", "--health-address="},
			want: func(c *CLI) {
				c.Insecure, c.Debug = true, true
				c.Address, c.MetricsAddress, c.HealthAddress = "127.0.0.1:9444", "", ""
			},
		},
		"BothAtOnce": {
			reason: "Both flags at once mean insecure, as the functions specification wants.",
			args:   []string{"--insecure", "--tls-certs-dir=/tls/server"},
			want:   func(c *CLI) { c.Insecure, c.TLSCertsDir = true, "/tls/server" },
		},
		"AllFlags": {
			reason: "Every option has a flag.",
			args:   []string{"--debug", "--network=unix", "--address=function.sock", "--tls-certs-dir=certs", "--max-recv-message-size=8", "--metrics-address=:1", "--health-address=:2"},
			want: func(c *CLI) {
				*c = CLI{Debug: true, Network: "unix", Address: "function.sock", TLSCertsDir: "certs", MaxRecvMessageSize: 8, MetricsAddress: ":1", HealthAddress: ":2"}
			},
		},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TLS_SERVER_CERTS_DIR", "")
			for k, v := range tc.env {
				t.Setenv(k, v)
			}

			want := defaults
			tc.want(&want)

			got := CLI{}
			parser, err := kong.New(&got, kong.Vars{"version": "test"})
			if err != nil {
				t.Fatalf("kong.New(...): %v", err)
			}
			if _, err := parser.Parse(tc.args); err != nil {
				t.Fatalf("%s\nParse(%q): %v", tc.reason, tc.args, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\nParse(%q): -want, +got:\n%s", tc.reason, tc.args, diff)
			}
		})
	}
}
