// Pause holds a pod's namespaces open: it is the one process of the sandbox container.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A pod that shares its process namespace makes this process its init: orphans become its children.
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	for {
		select {
		case <-stop:
			return
		case <-children:
			for {
				pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
				if pid <= 0 || err != nil {
					break
				}
			}
		}
	}
}
