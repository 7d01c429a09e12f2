# What skiff's README says, and CI runs. Everything is built from this
# repository's sources; no image is pulled.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.release=$(VERSION)
BIN      ?= bin/skiff
# The same for all that is compiled here, linters included: from an empty cache
# each package is then compiled once, and once more for the race detector. The
# API types' generated code is half of the program and is no hot path: not
# inlined, it is 1.7 MB less.
export GOFLAGS     := $(GOFLAGS) -trimpath -gcflags=k8s.io/api/...=-l
export CGO_ENABLED := 0
RACE     := CGO_ENABLED=1 go
# How long one package's tests may take: the zero-loss tests roll out many times.
TIMEOUT  ?= 45m

# What is tested: all, or PKG=./orchestrator/node.
PKG      ?= ./...

# The examples that are modules of their own.
MODULES := examples/writer examples/mongo examples/go-demo-2/api examples/redis/client examples/postgres/client

.PHONY: build test lint cross bench bench-proxy fuzz soak demo docker images packages kubectl clean

build: ## bin/skiff, one static binary
	go build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/skiff

test: docker cc build images packages kubectl ## the whole test suite, against the real Docker Engine
	$(RACE) test -race -timeout $(TIMEOUT) $(PKG)
ifeq ($(PKG),./...)
	for module in $(MODULES); do $(RACE) -C $$module test -race -timeout $(TIMEOUT) ./... || exit; done
endif

lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool -modfile=.ci/tools/go.mod staticcheck ./...
	for module in $(MODULES); do \
	  (cd $$module && go vet ./... && go tool -modfile=$(CURDIR)/.ci/tools/go.mod staticcheck ./...) || exit; \
	done

# Other systems than this one: what compiles for Linux only is found here.
CROSS := windows/amd64 darwin/arm64

cross: $(CROSS:%=cross/%) ## does skiff compile for these systems?
cross/%:
	GOOS=$(*D) GOARCH=$(*F) go build -o /dev/null ./cmd/skiff

bench: docker build images ## the figures that the README gives, measured here
	go test -run '^$$' -bench . -benchtime 5x -timeout $(TIMEOUT) ./cmd/skiff ./runtime/docker ./orchestrator

bench-proxy: ## the data path beside nginx and HAProxy
	@.ci/rivals
	go build -o bin/proxybench ./examples/proxybench
	PATH="$$PATH:/usr/sbin" bin/proxybench

# How long each fuzz target runs, and below which directory.
FUZZTIME ?= 1m
FUZZ     ?= .

fuzz: ## every fuzz target for a while; what they find is kept in testdata
	@.ci/fuzz $(FUZZTIME) $(FUZZ)

# How long the soak is, with how many connections, and how often all is replaced.
SOAKTIME ?= 15m
CONNS    ?= 10000
ROLLOUTS ?= 60

soak: docker build images ## many connections and many rollouts: is anything lost, does anything leak?
	go build -o bin/soak ./examples/soak
	bin/soak -time $(SOAKTIME) -conns $(CONNS) -rollouts $(ROLLOUTS)

demo: docker build images ## deploy, upgrade, break and roll back under load
	go build -o bin/demo ./examples/demo
	cd examples/mongo && go build -o $(CURDIR)/bin/mongo-client ./client
	bin/demo

docker: ## a Docker Engine: installed and started where none answers
	@.ci/docker

.PHONY: cc
cc: # the race detector needs a C compiler
	@.ci/cc

images: ## the examples' images, from their sources
	@examples/images

packages: docker ## the images of the distribution's own programs, from its packages
	@examples/packages

KUBECTL_VERSION := -X k8s.io/component-base/version
KUBECTL_LDFLAGS := -s -w $(KUBECTL_VERSION).gitVersion=v1.37.2 $(KUBECTL_VERSION).gitMajor=1 $(KUBECTL_VERSION).gitMinor=37

kubectl: bin/kubectl ## the real kubectl, for the tests
bin/kubectl: .ci/tools/go.mod .ci/tools/kubectl/main.go
	cd .ci/tools && go build -ldflags '$(KUBECTL_LDFLAGS)' -o $(CURDIR)/bin/kubectl ./kubectl

clean: ## what this Makefile built
	rm -rf bin
