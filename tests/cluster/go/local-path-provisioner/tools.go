//go:build tools

// Package tools names the program that is built from this module, so that go.mod and go.sum are complete.
package tools

import _ "github.com/rancher/local-path-provisioner"
