// Package ext is where Traefik's makers add to its configuration; its open source has two empty types.
package ext

// HTTP adds nothing.
type HTTP struct{}

// Router adds nothing.
type Router struct{}
