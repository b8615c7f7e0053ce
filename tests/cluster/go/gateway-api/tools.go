//go:build tools

// Package tools names a package of the module whose files are used, so that go.mod and go.sum are complete.
package tools

import _ "sigs.k8s.io/gateway-api/pkg/consts"
