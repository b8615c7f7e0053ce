//go:build tools

// Package tools names the program that is built from this module, so that go.mod and go.sum are complete.
package tools

import _ "github.com/oauth2-proxy/oauth2-proxy/v7"
